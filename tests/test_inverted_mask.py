"""A mask that marks bad pixels where it has to mark good ones: said by every check, and never of a right mask."""

import warnings

import numpy as np
import pytest
from click.testing import CliRunner

import opty
from opty import PtychoData, PtychoState
from opty.analysis import quick_look
from opty.analysis.held_blocks import withhold
from opty.cli import main
from opty.data.inverted_mask import inverted
from opty.data.parts import coarser
from opty.simulate.demo import demo_scan

N = 64
SAID = "the mask is probably inverted: it hides .* it is 1 where a pixel counts: give ~mask"


@pytest.fixture(scope="module")
def scan():
    """196 views of 64 x 64 and some 1e6 photons each."""
    return coarser(demo_scan(0), 2).replace(truth=None)


def radius():
    rows, columns = np.indices((N, N)) - N // 2
    return np.hypot(rows, columns)


def bad_pixels(kind, rng):
    """Return bad pixels (n, n), True where bad, and what they hold, as a function of the frames (N, pixels)."""
    bad = np.zeros((N, N), bool)
    if kind == "hot":
        return rng.random((N, N)) < 0.01, lambda light: rng.poisson(30 * light.mean(), light.shape)
    if kind == "beam stop":
        return radius() < 4, lambda light: rng.poisson(0.01 * light)
    if kind == "codes":
        bad[20:24], bad[:, 40:43] = True, True
        return bad, lambda light: np.full_like(light, 65535)
    bad[20:24] = True
    bad |= rng.random((N, N)) < 0.01
    return bad, lambda light: np.where(rng.random(light.shape[1]) < 0.1, rng.poisson(2000, light.shape), 0)


def with_bad(scan, kind, seed):
    """Return the scan with bad pixels, without a mask, and where they are."""
    rng = np.random.default_rng(seed)
    bad, values = bad_pixels(kind, rng)
    counts = np.array(scan.intensities[:])
    counts[:, bad] = values(counts[:, bad])
    return scan.replace(intensities=counts), bad


@pytest.mark.parametrize("kind", ["hot", "beam stop", "codes", "gap, dead and hot"])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_inverted_and_right(scan, kind, seed):
    data, bad = with_bad(scan, kind, seed)
    wrong, right = (PtychoData(data.intensities, data.positions, data.geometry, mask) for mask in (bad, ~bad))
    (problem,) = quick_look(wrong).problems
    assert SAID.split(":")[0] in problem
    assert inverted(right.intensities, right.mask) is None
    each = np.broadcast_to(bad, data.intensities.shape)
    assert inverted(data.intensities, each) is not None
    assert inverted(data.intensities, ~each) is None


def right_masks(rng):
    """Masks that leave less than half of a detector, and are right: what they hide, and what is there."""
    yield "a quarter of the detector", np.pad(np.ones((N // 2, N // 2), bool), ((N // 2, 0), (N // 2, 0))), None
    yield "a strip", np.abs(np.arange(N) - 30)[:, None] + np.zeros(N) < 4, None
    yield "the beam alone, noise around", radius() < 12, "noise"
    yield "the beam alone, codes around", radius() < 12, 2**16 - 1
    yield "padded with nothing", radius() < 20, 0
    yield "pixels drawn", rng.random((N, N)) < 0.05, None
    yield "half of the detector lost", np.arange(N)[:, None] + np.zeros(N) < 25, 2**16 - 1


@pytest.mark.parametrize("seed", [4, 5])
@pytest.mark.parametrize("dose", [1.0, 1e-3])
def test_right_masks_that_leave_little(scan, dose, seed):
    rng = np.random.default_rng(seed)
    for name, mask, there in right_masks(rng):
        counts = rng.poisson(np.asarray(scan.intensities[:]) * dose)
        if there is not None:
            hidden = counts[:, ~mask]
            counts[:, ~mask] = rng.poisson(1, hidden.shape) if there == "noise" else there
        assert inverted(counts, mask) is None, name


def test_a_run_warns_once_and_a_measurement_that_is_made_does_not(scan):
    data, bad = with_bad(scan, "beam stop", 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        wrong = data.replace(mask=bad)
    with pytest.warns(UserWarning, match=SAID):
        p = opty.rPIE() * PtychoState(wrong, device="cpu")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        opty.rPIE() * p


def test_nothing_is_said_of_masks_inside(scan):
    """Of four pixels that count, a draw of six percent leaves none in most views."""
    few = np.zeros((N, N), bool)
    few[30:32, 30:32] = True
    parts = withhold(scan.replace(mask=few))
    for part in (parts.fitted, parts.blocks):
        assert part.mask.any((1, 2)).all()
        assert not (part.mask & ~few).any()
    assert not (parts.fitted.mask & parts.blocks.mask).any()
    np.testing.assert_array_equal(parts.fitted.mask | parts.blocks.mask, np.broadcast_to(few, scan.intensities.shape))
    one = np.zeros((N, N), bool)
    one[32, 32] = True
    with pytest.raises(ValueError, match="the mask leaves one pixel of a view"):
        withhold(scan.replace(mask=one))


def test_a_check_of_an_inverted_mask_of_dark_pixels(scan):
    counts = np.array(scan.intensities[:])
    bad = np.zeros((N, N), bool)
    bad[20:24] = True
    counts[:, bad] = 0
    with pytest.raises(ValueError, match=r"the mask hides all the light of the 196 views: .* give ~mask"):
        scan.replace(intensities=counts, mask=bad)


def test_on_the_command_line(scan, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data, bad = with_bad(scan, "beam stop", 2)
    opty.save("scan.h5", data.replace(probe=None))
    np.save("bad.npy", bad)
    for line in ("check scan.h5 --mask bad.npy", "reconstruct scan.h5 --mask bad.npy -o out.h5"):
        outcome = CliRunner().invoke(main, line.split())
        assert outcome.exit_code == 1
        assert "scan.h5 would be pointless: the mask is probably inverted" in outcome.stderr
        assert "write its inverse to a file, or leave out that of the file, --mask ignore" in outcome.stderr
