"""Bad input in files, from Python and from the command line: one sentence before the first iteration, and no result."""

import numpy as np
import pytest
from click.testing import CliRunner

import opty
from opty.cli import main

GOOD = np.random.default_rng(0).poisson(9, (12, 16, 16)).astype("float64")
WHERE = np.random.default_rng(1).uniform(0, 2e-6, (12, 2))
LENGTHS = {"wavelength": 1e-10, "zo": 2.0, "dxd": 55e-6}


def spoiled(value, at=(2, 3, 4)):
    a = GOOD.copy()
    a[at] = value
    return a


def moved(metres):
    where = WHERE.copy()
    where[7, 0] += metres
    return where


BAD = {
    "NaN pixel": ({"ptychogram": spoiled(np.nan)}, r"intensities\[2, 3, 4\] is nan, the first of 1 .*mask"),
    "infinite pixel": ({"ptychogram": spoiled(np.inf)}, r"intensities\[2, 3, 4\] is inf"),
    "NaN frame": ({"ptychogram": spoiled(np.nan, 5)}, "nothing else is in view 5: .*leave.out"),
    "negative": ({"ptychogram": spoiled(-3.0)}, r"first of 1 negative counts \(the smallest is -3\)"),
    "no light": ({"ptychogram": 0 * GOOD}, "there is no light in the data"),
    "no views": ({"ptychogram": GOOD[:0], "encoder": WHERE[:0]}, r"ptychogram has shape \(0, 16, 16\)"),
    "rectangle": ({"ptychogram": GOOD[:, :, :12]}, "16 x 12 pixels and patterns must be square: give .*crop.12"),
    "NaN position": ({"encoder": moved(np.nan)}, r"positions\[7\] is \[nan"),
    "fewer positions": ({"encoder": WHERE[:9]}, r"12 patterns but 9 positions \(/encoder\).*give|choose.*views"),
    "columns": ({"encoder": np.zeros((12, 5))}, r"encoder has shape \(12, 5\)"),
    "micrometres": ({"encoder": WHERE * 1e6}, r"object would need .* pixels \(\S+ [TP]iB\)"),
    "1 m away": ({"encoder": moved(1.0)}, r"positions\[7\] is .* pixels away from the middle of the others"),
    "300 um away": ({"encoder": moved(300e-6)}, r"positions\[7\] is .*leave.out"),
    "no counts": ({"ptychogram": spoiled(1e300)}, r"view 2 holds 1e\+300 photons, more than complex64 computes with"),
    "missing": ({"encoder": None, "encode": WHERE}, r"no positions at encoder. / holds .*: did you mean encode\?"),
    "text": ({"wavelength": "short"}, "wavelength has dtype .*expected numbers"),
}


@pytest.fixture
def make(tmp_path):
    import h5py

    def write(changes):
        path = tmp_path / "scan.hdf5"
        with h5py.File(path, "w") as f:
            for name, value in ({"ptychogram": GOOD, "encoder": WHERE} | LENGTHS | changes).items():
                if value is not None:
                    f[name] = value
        return path

    return write


@pytest.mark.parametrize("name", BAD)
def test_in_a_file(make, name):
    changes, message = BAD[name]
    with pytest.raises(ValueError, match=message) as caught:
        opty.PtychoState(opty.load(make(changes)), device="cpu")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["NaN pixel", "micrometres", "300 um away", "missing", "rectangle"])
def test_on_the_command_line(make, name, tmp_path):
    import re

    changes, message = BAD[name]
    output = tmp_path / "result.h5"
    outcome = CliRunner().invoke(main, ["reconstruct", str(make(changes)), "-o", str(output), "--recipe", "ePIE()"])
    assert outcome.exit_code == 1
    assert re.search(message, outcome.stderr)
    assert "Traceback" not in outcome.output
    assert not output.exists()


def test_good_file_runs(make):
    p = opty.PtychoState(opty.load(make({})), device="cpu")
    assert np.isfinite(opty.misfit(opty.ePIE() * p))
