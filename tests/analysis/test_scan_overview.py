"""A raw scan as a picture: what its frames show by themselves, where it was taken."""

import time

import numpy as np
import pytest

import opty
from opty.analysis import scan_overview
from opty.simulate import experiment, probes, scans

N = 48


def wedge_and_hole(near=False):
    """A scan of a sample that absorbs half of the light in its right half, and refracts along rows in its upper one."""
    row, col = np.indices((140, 150)).astype(float)
    magnitude = np.where(col < 75, 1, 0.5**0.5)
    phase = 0.25 * np.minimum(row, 70)
    geometry = opty.Geometry(1e-10, 1e-3, 1e-6, propagation="near") if near else None
    probe = probes.gaussian(N, 12)
    return experiment(
        magnitude * np.exp(1j * phase), probe, scans.raster((10, 11), 8, jitter=1), photons=1e5, geometry=geometry
    )


def test_transmission_and_deflection_of_each_view():
    data = wedge_and_hole()
    found = scan_overview(data)
    middle = data.truth["positions"] + N // 2
    left, right = middle[:, 1] < 65, middle[:, 1] > 85
    assert found.transmission[left].mean() / found.transmission[right].mean() == pytest.approx(2, rel=0.02)
    upper, lower = middle[:, 0] < 60, middle[:, 0] > 80
    # A phase of 0.25 rad / px is a deflection of 0.25 n / 2 pi detector pixels.
    assert found.row[upper].mean() - found.row[lower].mean() == pytest.approx(0.25 * N / (2 * np.pi), rel=0.02)
    assert abs(found.column[upper].mean() - found.column[lower].mean()) < 0.05
    assert found.scattered[upper].mean() > 0.1
    white = np.sqrt(data.intensities).mean(axis=0)
    assert (found.beam == (white > 0.5 * white.max())).all()


def test_maps_lie_where_the_views_do():
    data = wedge_and_hole()
    found = scan_overview(data)
    image = found.maps()["transmission"]
    assert found.map_pixel == pytest.approx(8 / 3, rel=0.15)
    assert image.shape == pytest.approx((10 * 3, 11 * 3), abs=4)
    edge = (75 - N // 2 - data.truth["positions"][:, 1].min()) / found.map_pixel
    half = np.nanmean(image, axis=0) > 0.75 * np.nanmax(np.nanmean(image, axis=0))
    assert np.flatnonzero(~half)[0] == pytest.approx(edge, abs=1.5)


def test_light_and_views_are_counted_on_each_pixel():
    data = wedge_and_hole()
    found = scan_overview(data)
    white = np.sqrt(data.intensities).mean(axis=0)
    light, count = np.zeros_like(found.sum), np.zeros_like(found.count)
    for image, position in zip(data.intensities, data.positions, strict=True):
        r, c = (np.rint(position) - np.floor(data.positions.min(axis=0))).astype(int)
        light[r : r + N, c : c + N] += white * image
        count[r : r + N, c : c + N] += 1
    np.testing.assert_allclose(found.sum, light)
    np.testing.assert_array_equal(found.count, count)


@pytest.mark.parametrize("near", [False, True])
def test_a_start_of_the_object_shows_the_half_that_absorbs(near):
    data = wedge_and_hole(near)
    p = opty.PtychoState(data, probe=data.truth["probe"], device="cpu")
    obj = scan_overview(data).start(p)
    assert obj.shape == p.obj.shape
    edge = round(float((p.positions - data.truth["positions"]).mean(axis=0)[1])) + 75
    row = p.obj.shape[0] // 2 + 25
    left, right = (
        abs(obj[row - 10 : row + 10, edge - 30 : edge - 8]),
        abs(obj[row - 10 : row + 10, edge + 8 : edge + 30]),
    )
    assert left.mean() / right.mean() == pytest.approx(2**0.5, rel=0.06)
    q = p.replace(obj=obj)
    assert opty.misfit(opty.rPIE() ** 3 * q) < opty.misfit(q)


def test_masked_pixels_do_not_count():
    data = wedge_and_hole()
    mask = np.ones((N, N), bool)
    mask[:, 30] = False
    hot = data.intensities.copy()
    hot[:, :, 30] = 10**6
    a, b = (scan_overview(data.replace(mask=mask, intensities=x)) for x in (data.intensities, hot))
    np.testing.assert_array_equal(a.transmission, b.transmission)
    np.testing.assert_array_equal(a.stitched, b.stitched)


def test_the_picture(tmp_path):
    fig = opty.plot.scan(scan_overview(wedge_and_hole()))
    titles = [axes.get_title(loc="left") for axes in fig.axes]
    assert "transmission" in titles
    assert "patterns stitched" in titles
    opty.plot.save_figure(fig, str(tmp_path / "scan.png"))
    assert (tmp_path / "scan.png").stat().st_size > 30_000


@pytest.mark.parametrize("name", ["star", "PETRAIII_P25_Near_Field_Ptycho.cxi"])
def test_real_scans_take_less_than_two_seconds(star, shared_data, name):
    data = star if name == "star" else opty.load(shared_data / name)
    begun = time.process_time()
    found = scan_overview(data)
    opty.plot.scan(found)
    assert time.process_time() - begun < 2
    assert found.transmission.min() > 0.8
