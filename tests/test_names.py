"""A name written wrong, anywhere in Python: the error names the near one, and what there is."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from small_scans import scan, state

import opty


@pytest.fixture(scope="module")
def data():
    return scan()


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("rpie", r"opty has no 'rpie'; did you mean rPIE\?"),
        ("PtychoDate", r"did you mean PtychoData\?"),
        ("Poscorrect", r"did you mean PosCorrect\?"),
        ("MergeObj", r"opty has no 'MergeObj'; it is opty\.operators\.MergeObj"),
        ("r_factor", r"it is opty\.analysis\.r_factor"),
        ("xyzzyx", r"opty has no 'xyzzyx'; dir\(opty\) lists what it has"),
    ],
)
def test_a_name_that_the_package_lacks(name, hint):
    with pytest.raises(AttributeError, match=hint):
        getattr(opty, name)
    assert not hasattr(opty, name)
    with pytest.raises(ImportError, match=f"cannot import name '{name}'"):
        exec(f"from opty import {name}")


def test_the_modules_of_the_package_are_there():
    assert opty.operators.ObjUpdate is opty.ObjUpdate
    assert not hasattr(opty, "__wrapped__")
    from opty import cli

    assert cli.main is not None


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda d: opty.PtychoState(d, mode=3),
            r"PtychoState has no parameter 'mode'; did you mean modes\? It has",
        ),
        (lambda d: opty.PtychoState(), r"PtychoState needs data; write PtychoState\(data=\.\.\.\)"),
        (lambda d: state(d).replace(object=1), r"p\.replace has no parameter 'object'; did you mean obj\? It has obj"),
        (lambda d: state(d).replace(d.probe), r"p\.replace takes no values, not 1; give others by name"),
        (lambda d: opty.PtychoData(d.intensities, postions=1), r"no parameter 'postions'; did you mean positions\?"),
        (lambda d: d.replace(maks=None), r"PtychoData has no field 'maks'; did you mean mask\? It has intensities"),
        (lambda d: opty.Geometry(wavelenght=1e-10), r"no parameter 'wavelenght'; did you mean wavelength\?"),
        (lambda d: opty.Geometry(1e-10), "Geometry needs distance and pixel_size: "),
    ],
)
def test_an_argument_written_wrong(data, call, message):
    with pytest.raises(TypeError, match=message):
        call(data)


@pytest.mark.parametrize("call", [opty.load, opty.info])
def test_an_option_that_a_format_lacks(data, tmp_path, call):
    opty.save(tmp_path / "m.h5", data)
    opty.save(tmp_path / "r.h5", state(data))
    with pytest.raises(TypeError, match=r"has no option view; did you mean views\? It has .*views, "):
        call(tmp_path / "m.h5", view=np.s_[:3])
    with pytest.raises(TypeError, match=r"has no option devise; did you mean device\? It has data, "):
        call(tmp_path / "r.h5", devise="cpu")
