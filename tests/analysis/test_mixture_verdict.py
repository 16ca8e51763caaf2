"""A result of one state, of a sample that was two things or a beam of three modes, is not called right."""

import numpy as np
import pytest

import opty
from opty.analysis.verdict import verdict
from opty.model import Object
from opty.physics.optics import aperture_probe
from opty.simulate import experiment, objects, scans

N, VIEWS = 48, 80


def measured(kind):
    """Return a scan with its true probe: "one" state, "two" states of the object, or three "modes" of the probe."""
    pixel = 1e-7
    places = np.rint(scans.fermat(VIEWS, 3.2))
    places -= places.min(axis=0)
    shape = tuple(int(x) + N + 4 for x in places.max(axis=0))
    obj = objects.two_images(shape, ("camera", "moon"), (0.4, 1), (-0.9, 0.6))
    probe = aperture_probe(N, 1.5e-10, pixel, 2.4e-4, defocus=2.5e-3)
    model = None
    if kind == "two":
        row, column = np.indices(shape)
        domains = (row // 7 + column // 9) % 2
        obj = np.stack([obj * np.sqrt(0.6) * np.exp(0.7j * domains), obj * np.sqrt(0.4) * np.exp(-0.7j * domains)])
        model = Object(states=2)
    first = probe
    if kind == "modes":
        row, column = (np.indices((N, N)) - N / 2) / 4
        probe = np.stack([probe, 0.55 * probe * row, 0.4 * probe * column])
    data = experiment(obj, probe, places, 1e6, model=model, seed=4)
    return data.replace(truth=None, probe=first.astype("complex64"))


@pytest.mark.parametrize(("kind", "word"), [("one", "right"), ("two", "doubtful"), ("modes", "doubtful")])
def test_a_mixture_is_not_called_right(kind, word):
    data = measured(kind)
    p = opty.rPIE(alpha=0.1) ** 30 * opty.PtychoState(data, device="cpu", threads=1)
    found = verdict(p, test=True)
    assert found.word == word, found
    said = "; ".join(found.reasons)
    assert ("the deviance of pixels held out" in said or "do not tell which" in said) == (word == "doubtful")
    if kind == "two":
        assert "model=Object(states=2)" in said
    if kind == "modes":
        assert "modes=3" in said
