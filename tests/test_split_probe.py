"""A starting probe in the order of an FFT, split over the corners of its window: said, and never of a right one."""

import warnings

import numpy as np
import pytest
from click.testing import CliRunner

import opty
from opty import PtychoState
from opty.analysis import quick_look
from opty.analysis.check.trials import cropped
from opty.cli import main
from opty.data.parts import coarser
from opty.model.starting_probe import split_probe
from opty.simulate.demo import demo_scan

N = 64
SAID = r"the starting probe is split over the four corners of its window, .*give np\.fft\.fftshift\(probe, \(-2, -1\)\)"


@pytest.fixture(scope="module")
def scan():
    """196 views of 64 x 64, without a probe, and the true probe (64, 64)."""
    whole = demo_scan(0)
    return coarser(whole, 2).replace(truth=None, probe=None), cropped(whole.truth["probe"][0], N)


def waves(n):
    """Return probes (n, n) of all kinds, centred at n // 2, by name."""
    rows, columns = np.indices((n, n)) - n // 2
    r = np.hypot(rows, columns)
    rng = np.random.default_rng(3)
    speckle = np.fft.ifft2(np.fft.fft2(rng.normal(size=(n, n))) * np.fft.ifftshift(np.exp(-((r / 8) ** 2))))
    return {
        "a focus": np.sinc(rows / 3) * np.sinc(columns / 3),
        "a Gaussian": np.exp(-(r**2) / (0.15 * n) ** 2),
        "a wide Gaussian": np.exp(-(r**2) / (0.4 * n) ** 2),
        "a square": ((abs(rows) < n // 4) & (abs(columns) < n // 4)) * 1.0,
        "a ring": (abs(r - 0.3 * n) < max(1, n / 20)) * 1.0,
        "a wide disc": (r < 0.44 * n) * 1.0,
        "in one corner": np.exp(-((rows + n // 2 - 3) ** 2 + (columns + n // 2 - 3) ** 2) / 16.0),
        "a ring at the edge": (abs(r - 0.45 * n) < 2) * 1.0,
        "a beam that fills the window": np.ones((n, n)),
        "speckle": speckle,
        "off the middle": np.roll(np.exp(-(r**2) / (0.1 * n) ** 2), (n // 4, -n // 5), (0, 1)),
        "dark in the middle": (r > 0.3 * n) * 1.0,
        "two beams": np.exp(-(rows**2 + (abs(columns) - n // 4) ** 2) / 16),
    }


COMPACT = ("a focus", "a Gaussian", "a wide Gaussian", "a square", "a ring", "a wide disc")


@pytest.mark.parametrize("n", [16, 63, 64])
def test_right_probes_and_compact_ones_in_the_corners(n):
    for name, wave in waves(n).items():
        assert split_probe(wave[None]) is None, name
        if name in COMPACT:
            assert split_probe(np.fft.ifftshift(wave)[None]) is not None, name
            modes = np.stack([np.fft.ifftshift(wave), np.fft.ifftshift(np.roll(wave, 1, 0)) * 0.1])
            assert split_probe(modes) is not None, name


def test_a_state_that_is_made_warns_of_it(scan):
    data, probe = scan
    corner = np.fft.ifftshift(probe)
    for arguments in ((data, corner), (data.replace(probe=corner),)):
        with pytest.warns(UserWarning, match=SAID):
            p = PtychoState(*arguments, device="cpu")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        opty.rPIE() * p
        opty.rPIE() * PtychoState(data, probe, device="cpu")


def test_the_checks_refuse_it(scan, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data, probe = scan
    assert not any("split" in one for one in quick_look(data.replace(probe=probe)).every)
    wrong = data.replace(probe=np.fft.ifftshift(probe))
    assert any("split over the four corners" in one for one in quick_look(wrong).problems)
    opty.save("scan.h5", wrong)
    np.save("probe.npy", wrong.probe)
    opty.save("bare.h5", data)
    for line in ("check scan.h5", "reconstruct scan.h5 -o a.h5", "reconstruct bare.h5 --probe probe.npy -o a.h5"):
        outcome = CliRunner().invoke(main, line.split())
        assert outcome.exit_code == 1
        assert "write it with its middle there (numpy.fft.fftshift)" in outcome.stderr
