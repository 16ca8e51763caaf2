"""Several slices in pictures, exports and analysis."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from thick_scene import SPACING, slice_errors, thick_state

import opty
from opty import analysis, plot
from opty.io.export import export
from opty.model import Slices


@pytest.fixture(scope="module")
def p(thick):
    return opty.rPIE(alpha=0.05, batch=8) ** 3 * thick_state(thick)


def titled(fig):
    return {axes.get_title(loc="left"): axes for axes in fig.axes}


def test_the_page_shows_each_slice_and_the_product(p):
    for fig in (p.plot(), plot.obj(p)):
        found = titled(fig)
        for name in ("slice 1", "slice 2", "product"):
            assert {f"{name}, magnitude", f"{name}, phase (rad)"} <= found.keys()
        limits = [found[f"slice {k}, phase (rad)"].images[0].get_clim() for k in (1, 2)]
        assert limits[0] == limits[1]
        drawn = found["product, magnitude"].images[0].get_array()
        rows, cols = plot.images.crop_to(plot.images.lit_area(p))
        np.testing.assert_array_equal(drawn.data, np.abs(p.obj.prod(axis=0))[rows, cols])


def test_cuts_run_along_the_beam(p):
    found = titled(plot.slices(p))
    (name,) = [name for name in found if name.startswith("phase (rad) along row")]
    (mesh,) = found[name].collections
    drawn, row = mesh.get_array(), int(name.split()[-1])
    lit = plot.images.lit_area(p)
    cols = plot.images.crop_to(lit)[1]
    for k in (0, 1):
        expected = plot.images.centred_phase(p.numpy("obj")[k], lit)[row, cols]
        np.testing.assert_allclose(drawn[k].data, expected)
    z = mesh.get_coordinates()[:, 0, 1]
    np.testing.assert_allclose(z * 1e-6, SPACING * np.array([-0.5, 0.5, 1.5]))
    assert found[name].get_ylabel() == "z (µm)"
    with pytest.raises(ValueError, match=r"opty\.plot\.obj"):
        plot.slices(opty.PtychoState(p.data))


def test_of_many_slices_five_are_drawn(p):
    rng = np.random.default_rng(3)
    phase = rng.normal(size=(9, *p.obj.shape[1:]))
    many = opty.PtychoState(p.data, p.numpy("probe"), obj=np.exp(1j * phase), model=Slices(9, SPACING))
    shown = [name for name in titled(plot.obj(many)) if "slice" in name and "magnitude" in name]
    assert shown == [f"slice {k} of 9, magnitude" for k in (1, 3, 5, 7, 9)]


def test_truth_and_reconstruction_are_compared_by_their_products(p):
    found = titled(plot.demo_figure(p))
    assert {"true product, magnitude", "recovered product, phase (rad)"} <= found.keys()


def test_show_draws_slices(p, tmp_path):
    _ = opty.Show(every=1, path=str(tmp_path / "now.png")) * opty.rPIE(batch=8) * p
    assert (tmp_path / "now.png").stat().st_size > 10_000


def test_exports(p, tmp_path):
    magnitude, phase = export(tmp_path / "x.tif", p, crop=True)
    rows, cols = plot.images.crop_to(plot.images.lit_area(p))
    np.testing.assert_allclose(tifffile.imread(magnitude), np.abs(p.obj)[:, rows, cols], rtol=1e-6)
    with tifffile.TiffFile(phase) as tiff:
        assert len(tiff.pages) == 2
        assert "2 slices in the order of the beam, FarField() * Slices(2" in tiff.pages[0].description
    (file,) = export(tmp_path / "x.npz", p)
    with np.load(file) as found:
        np.testing.assert_array_equal(found["obj"], p.obj)
        np.testing.assert_array_equal(found["spacing"], p.spacing)
        assert str(found["model"]) == repr(p.model)
    with pytest.raises(ValueError, match=r"2 slices; the layers of PtyPy's \.ptyr are incoherent states"):
        export(tmp_path / "x.ptyr", p)
    assert not (tmp_path / "x.ptyr").exists()


def test_errors_are_those_of_the_product_and_of_each_slice(p):
    found = analysis.errors(p)
    assert list(found) == ["object", "slice 1", "slice 2", "position", "position_affine"]
    first, second, product = slice_errors(p)
    assert found["slice 1"] == pytest.approx(first, rel=0.5)
    assert found["slice 2"] == pytest.approx(second, rel=0.5)
    assert found["object"] == pytest.approx(product, rel=0.5)
    thin = opty.PtychoState(p.data).replace(positions=p.data.truth["positions"])
    assert "slice 1" not in analysis.errors(thin)


def test_analysis_says_what_to_compare(p):
    with pytest.raises(ValueError, match=r"one by one, obj\[0\] with truth\[0\]"):
        analysis.object_error(p.obj, p.data.truth["obj"])
    with pytest.raises(ValueError, match=r"of several slices one after the other"):
        analysis.frc(p.obj, p.obj)
    with pytest.raises(ValueError, match="alike, at least 16 x 16") as caught:
        analysis.frc(p.obj[0], p.obj[1][:, :20])
    assert "slices" not in str(caught.value)
    lit = [analysis.illuminated(p.positions, p.probe, shape) for shape in (p.obj.shape, p.obj.shape[1:])]
    np.testing.assert_array_equal(*lit)
