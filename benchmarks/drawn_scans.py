"""Scans drawn by seed, with one or more things wrong: what ``opty.auto`` is judged on. No start comes with them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

import opty
from opty.physics.optics import aperture_probe
from opty.simulate import experiment, objects, probes, scans

WAVELENGTH, DISTANCE, PIXEL = 1.5e-10, 2.0, 75e-6
PICTURES = ("astronaut", "brick", "camera", "cat", "cell", "coffee", "coins", "grass", "gravel", "moon", "page", "text")
TURNS = tuple((swap, row, column) for swap in (False, True) for row in (1, -1) for column in (1, -1))


@dataclass(frozen=True)
class Drawn:
    """A scan: its data as a user gets them, and what is wrong with it in words."""

    data: opty.PtychoData
    wrong: dict[str, object]


def draw(seed: int, n: int = 48, views: int = 80) -> Drawn:
    """Draw a far-field scan: object, aberrated probe, photons and modes, and with a chance of 40 percent each of a
    turned detector, a distance wrong by 5 percent, a centre off by n / 25, gaps, and positions off by 0.5 to 2 px.
    """
    rng = np.random.default_rng([20, seed])
    pixel = WAVELENGTH * DISTANCE / (n * PIXEL)
    semi_angle = rng.uniform(0.2, 0.34) * WAVELENGTH / (2 * pixel) * 1.2
    across = rng.uniform(0.3, 0.5) * n * pixel  # of the beam at the sample
    probe = aperture_probe(
        n,
        WAVELENGTH,
        pixel,
        semi_angle,
        defocus=float(rng.choice((1, -1)) * across / (2 * semi_angle)),
        aberrations={"C12": 0.08 * across / semi_angle, "phi12": rng.uniform(0, np.pi)},
        central_stop=float(rng.choice((0.0, 0.35))),
    )
    modes = int(rng.integers(1, 6))
    if modes > 1:
        probe = probes.modes(probe, tuple(rng.uniform(0.35, 0.6) ** np.arange(modes)))
    positions = scans.fermat(views, float(rng.uniform(0.16, 0.28) * across / pixel))
    positions = np.rint(positions - positions.min(axis=0))
    shape = tuple(int(np.ptp(x)) + n + 24 for x in positions.T)
    obj = objects.two_images(
        shape,
        tuple(rng.choice(PICTURES, 2, replace=False)),
        (rng.uniform(0.2, 0.8), 1.0),
        (-rng.uniform(0.2, 1.2), rng.uniform(0.2, 1.2)),
    )
    photons = float(10 ** rng.uniform(4, 7))
    off = float(rng.uniform(0.5, 2.0)) if rng.random() < 0.4 else 0.0
    geometry = opty.Geometry(WAVELENGTH, DISTANCE, PIXEL)
    data = experiment(obj, probe, positions, photons, geometry=geometry, position_error=off or None, seed=seed)
    wrong: dict[str, object] = {"modes": modes, "photons": round(photons), "positions off [px]": round(off, 2)}
    intensities, mask = np.array(data.intensities), np.ones((n, n), bool)
    if rng.random() < 0.4:
        shift = tuple(int(x) for x in rng.integers(-(n // 25), n // 25 + 1, 2))
        intensities, wrong["centre off [px]"] = np.roll(intensities, shift, (1, 2)), shift
    if rng.random() < 0.4:
        row, wide = int(rng.integers(n // 4, 3 * n // 4)), max(1, n // 40)
        mask[row : row + wide] = False
        mask[:, row - n // 6 : row - n // 6 + wide] = False
        intensities[:, ~mask] = 0
        wrong["gaps"] = f"{(~mask).mean():.1%}"
    given = data.positions
    if rng.random() < 0.4:
        wrong["distance wrong"] = scale = float(rng.choice((0.95, 1.05)))
        geometry = opty.Geometry(WAVELENGTH, DISTANCE * scale, PIXEL)
    if rng.random() < 0.4:
        swap, row, column = wrong["turned"] = TURNS[int(rng.integers(1, 8))]
        given = (given[:, ::-1] if swap else given) * np.array([row, column])
    return Drawn(data.replace(intensities=intensities, mask=mask, positions=given, geometry=geometry), wrong)


def object_error(p: opty.PtychoState, truth: Mapping[str, np.ndarray]) -> float:
    """Return the relative error of a state's object, as it is or as its twin, whichever is less.

    In the far field positions (-r) fit as well, with the complex conjugate of object and probe turned by 180 degrees.
    """
    obj, corners, n = p.numpy("obj"), p.numpy("positions"), p.data.n
    lit = opty.analysis.illuminated(truth["positions"], truth["probe"], truth["obj"].shape)
    middle = truth["positions"].mean(axis=0)
    twin = np.array(obj.shape) - n - corners

    def error(one: np.ndarray, at: np.ndarray) -> float:
        offset = np.rint(at.mean(axis=0) - middle).astype(int)
        return opty.analysis.object_error(one, truth["obj"], lit, offset)

    return min(error(obj, corners), error(obj[::-1, ::-1].conj(), twin))
