"""The option probe of a load: a starting probe in place of the file's."""

import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

sys.path.insert(0, str(Path(__file__).parent.parent))
from small_scans import N, scan, state

import opty
from opty import Geometry, rPIE
from opty.cli import main

BEAM = {"wavelength": 1e-10, "distance": 1.0, "pixel_size": 1e-4}


@pytest.fixture
def files(tmp_path, monkeypatch):
    """A measurement with a geometry, and a result of it."""
    monkeypatch.chdir(tmp_path)
    data = scan()
    geometry = Geometry(**BEAM)
    data = data.replace(geometry=geometry, positions=data.positions * geometry.sample_pixel(N), truth=None)
    opty.save("scan.h5", data)
    found = rPIE() ** 2 * state(scan())
    metres = opty.PtychoState(data, probe=found.probe, obj=np.ones(found.obj.shape), device="cpu")
    metres.save("result.h5")
    return found.probe


def test_an_array_a_file_and_a_result_are_the_same_probe(files):
    np.save("probe.npy", files)
    for given in (files, "probe.npy", Path("result.h5"), "result.h5:/entry_1/reconstruction/leaves/probe"):
        data = opty.load("scan.h5", probe=given)
        assert np.array_equal(data.probe, files)
    assert opty.load("scan.h5").probe is None
    assert opty.load("scan.h5", probe="probe.npy").source["options"] == {"probe": "probe.npy"}


def test_what_does_not_fit_is_refused(files):
    with pytest.raises(ValueError, match="has 8 x 8 pixels and the patterns have 16 x 16"):
        opty.load("scan.h5", probe=np.ones((8, 8), complex))
    with pytest.raises(ValueError, match="expected complex"):
        opty.load("scan.h5", probe=np.ones((N, N)))
    with pytest.raises(ValueError, match=r"has pixels of 6\.25e-08 m"):
        opty.load("scan.h5", probe="result.h5", distance=1.1)
    with pytest.raises(ValueError, match="both make the starting probe"):
        opty.load("scan.h5", probe=files, semi_angle="1mrad")
    with pytest.raises(opty.FormatError, match="holds no probe"):
        opty.load("scan.h5", probe="scan.h5")


def test_the_command_line_takes_it_in_place_of_a_search(files):
    done = CliRunner().invoke(
        main, ["reconstruct", "scan.h5", "--probe", "result.h5", "--recipe", "rPIE()", "-o", "out.h5", "--threads", "1"]
    )
    assert done.exit_code == 0, done.output
    assert "search" not in done.output
    start = opty.PtychoState(opty.load("scan.h5", probe="result.h5"), device="cpu", threads=1)
    assert np.array_equal(opty.load("out.h5").obj, (rPIE() * start).obj)
