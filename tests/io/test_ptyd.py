"""PtyPy's files as PtyPy writes them: chunks, parts in other files, its types, its None; results."""

import h5py
import numpy as np
import pytest

import opty
from opty import PtychoState
from opty.errors import FormatError
from opty.geometry import PLANCK_TIMES_C
from opty.io import export, load, save
from opty.physics.modes import orthogonal

KEV = 1.602176634e-16
META = {
    "version": (0.1, "scalar"),
    "num_frames": (np.int64(7), "scalar"),
    "shape": (np.array([16, 16]), "array"),
    "psize": (np.array([55e-6, 55e-6]), "array"),
    "energy": (6.2, "scalar"),
    "center": (np.array([8.0, 8.0]), "array"),
    "distance": (2.0, "scalar"),
    "label": (np.zeros(1), "None"),
}


@pytest.fixture
def views(rng):
    return rng.poisson(9.0, (7, 16, 16)).astype("int32"), rng.uniform(-2e-6, 2e-6, (7, 2))


def store(group, name, value, kind, **options):
    """As PtyPy's h5write does: an attribute ``type`` on each node, arrays deflated."""
    options = options if np.ndim(value) == 0 else {"compression": "gzip"} | options
    group.create_dataset(name, data=value, **options).attrs["type"] = kind


@pytest.fixture
def make(tmp_path, views):
    """Function that writes a .ptyd with chunks of three frames; save="append" or "link"; keywords change meta."""

    def write(save="append", weights=None, links="absolute", **changes):
        path = tmp_path / "scan.ptyd"
        with h5py.File(path, "w") as f:
            f.attrs.update({"h5rw_version": "0.1", "ctime": "now", "mtime": "now"})
            f.create_group("info").attrs["type"] = "dict"
            f.create_group("chunks")
            meta = f.create_group("meta")
            meta.attrs["type"] = "param"
            for name, (value, kind) in (META | changes).items():
                if value is not None:
                    store(meta, name, value, kind)
            for k, start in enumerate(range(0, 7, 3)):
                part = slice(start, start + 3)
                if save == "link":
                    other = tmp_path / f"scan.ptyd.part{k:03d}"
                    f[f"chunks/{k}"] = h5py.ExternalLink(str(other) if links == "absolute" else other.name, "/")
                    with h5py.File(other, "w") as g:
                        chunk(g, part, weights)
                else:
                    chunk(f.create_group(f"chunks/{k}"), part, weights)
        return path

    def chunk(group, part, weights):
        intensities, positions = views
        store(group, "data", intensities[part], "array")
        store(group, "indices", np.arange(7)[part], "arraylist")
        store(group, "positions", positions[part], "array")
        if weights is not None:
            store(group, "weights", weights[part], "array")

    return write


def test_chunks_in_order(make, views, identical):
    data = load(make())
    identical(data.intensities, views[0])
    identical(data.positions, views[1])
    assert data.geometry.wavelength == pytest.approx(PLANCK_TIMES_C / (6.2 * KEV), rel=1e-12)
    assert (data.geometry.distance, data.geometry.pixel_size) == (2.0, 55e-6)


def test_views_across_chunks(make, views, identical):
    data = load(make(), views=[5, 0, 3])
    identical(data.intensities, views[0][[5, 0, 3]])
    identical(data.positions, views[1][[5, 0, 3]])


def test_weights_are_the_mask(make, views, rng, identical):
    weights = np.where(rng.uniform(size=(7, 16, 16)) > 0.2, 0.7, 0).astype("float32")
    weights[:, 0, 0] = -1.0
    identical(load(make(weights=weights)).mask, weights > 0)
    identical(load(make(weights=weights > 0)).mask, weights > 0)  # as PtyPy's simulation writes them


def test_empty_weights_and_those_of_all_frames(make, identical):
    assert load(make(weights=np.zeros((0, 3)))).mask is None
    common = (np.eye(16) == 0).astype("float64")
    identical(load(make(weights=np.zeros((0, 3)), weight2d=(common, "array"))).mask, common > 0)


@pytest.mark.parametrize("links", ["absolute", "relative"])
def test_linked_parts_only_by_name(make, views, links, identical, tmp_path):
    path = make(save="link", links=links)
    with pytest.raises(FormatError, match=r"/chunks/0 is a link to another file, .*part000; if you trust that"):
        load(path)
    with pytest.raises(FormatError, match="chunks/1 is a link"):
        load(path, links="*.part000")
    data = load(path, links="scan.ptyd.part*")
    identical(data.intensities, views[0])
    assert sorted(data.source["beside"]) == [str(tmp_path / f"scan.ptyd.part00{k}") for k in range(3)]


def test_linked_parts_of_a_folder_that_was_moved(make, views, tmp_path, identical):
    make(save="link")
    (tmp_path / "moved").mkdir()
    for name in ("scan.ptyd", *(f"scan.ptyd.part00{k}" for k in range(3))):
        (tmp_path / name).rename(tmp_path / "moved" / name)
    identical(load(tmp_path / "moved/scan.ptyd", links="*").intensities, views[0])


def test_missing_part_is_named_and_nobody_waits(make, tmp_path):
    path = make(save="link")
    (tmp_path / "scan.ptyd.part001").unlink()
    with pytest.raises(FormatError, match=r"chunks/1 is a link to .*part001, and there is no such file"):
        load(path, links="*")


def test_result_of_linked_data_notices_a_changed_part(make, tmp_path):
    p = PtychoState(load(make(save="link"), links="*"), device="cpu")
    save(tmp_path / "r.h5", p)
    assert load(tmp_path / "r.h5", device="cpu").data.views == 7
    part = tmp_path / "scan.ptyd.part002"
    part.write_bytes(part.read_bytes() + b"\0")
    assert "part002 has changed since" in load(tmp_path / "r.h5", device="cpu").data.absent


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_frames": (np.int64(9), "scalar")}, "meta/num_frames promises 9 frames and the chunks hold 7"),
        ({"energy": (np.zeros(1), "None")}, "energy.*: give wavelength= in metres"),
        ({"energy": (1e-310, "scalar")}, r"meta/energy is 0.0 J; expected a positive energy"),  # found by the soak
        ({"distance": (None, None)}, r"no distance at meta/distance. /meta holds .*: give distance= in metres"),
        ({"psize": (np.array([1e-5, 2e-5]), "array")}, "need|square ones"),
        ({"center": (np.array([8.0, 99.0]), "array")}, "the file puts the beam at"),
    ],
)
def test_meta_that_does_not_fit(make, changes, message):
    with pytest.raises(ValueError, match=message):
        load(make(**changes))


def test_centre_off_the_middle_is_kept_in_the_middle(make, views, identical):
    path = make(center=(np.array([7.0, 9.0]), "array"))
    with pytest.warns(UserWarning, match=r"beam at \(7, 9\) of 16 x 16 pixels: 14 x 14 around it are kept"):
        data = load(path)
    identical(data.intensities, np.ascontiguousarray(views[0][:, 0:14, 2:16]))
    identical(load(path, crop=8).intensities, np.ascontiguousarray(views[0][:, 3:11, 5:13]))


def test_chunk_that_is_missing(make):
    path = make()
    with h5py.File(path, "a") as f:
        del f["chunks/1"]
    with pytest.raises(FormatError, match=r"chunks \[1\] are missing: the file holds 0, 2"):
        load(path)


def test_what_opty_writes_has_ptypys_types(tmp_path, counts, geometry):
    data = opty.PtychoData(counts, np.arange(8.0).reshape(4, 2) * 1e-7, geometry, mask=np.eye(16))
    save(tmp_path / "out.ptyd", data, format="ptyd")
    types = {}
    with h5py.File(tmp_path / "out.ptyd") as f:
        f.visititems(lambda name, node: types.update({name: node.attrs["type"]}))
        # PtyPy takes every word of meta for a parameter of its own: no others than the ones it writes
        shapes = {name: (node.dtype.kind + str(node.dtype.itemsize), node.shape) for name, node in f["meta"].items()}
        assert shapes.pop("label") == ("S4", ())
        assert shapes == {
            **dict.fromkeys(("version", "energy", "distance"), ("f8", ())),
            **dict.fromkeys(("psize", "center"), ("f8", (2,))),
            "num_frames": ("i8", ()),
            "shape": ("i8", (2,)),
        }
        assert f["info/propagation"][()] == b"farfield"
        assert f["chunks/0/positions"].dtype == np.float64
        assert f["chunks/0/positions"].shape == (4, 2)
        assert isinstance(f.attrs["ctime"], str)
        assert f["meta/psize"][()].tolist() == [geometry.pixel_size] * 2
        assert f["meta/center"][()].tolist() == [8.0, 8.0]
        assert f.attrs["h5rw_version"] == "0.1"
        assert f["meta/num_frames"][()].item() == 4
        assert f["meta/energy"][()] == pytest.approx(geometry.energy / KEV)
        assert f["meta/label"][()].decode() == "opty"
        assert f["chunks/0/indices"].dtype == np.int64
        assert (f["chunks/0/weights"][0] == np.eye(16)).all()
    assert {types[f"meta/{name}"] for name in ("num_frames", "energy", "distance", "version")} == {"scalar"}
    assert types["chunks/0/indices"] == "arraylist"
    assert {types[name] for name in ("chunks", "chunks/0", "meta", "info")} == {"dict"}


@pytest.fixture
def ptyr(tmp_path):
    """A run of PtyPy, and the measurement of it: the truth of a simulation in PtyPy's frame."""
    from opty.simulate.experiment import experiment
    from opty.simulate.probes import gaussian
    from opty.simulate.scans import raster

    geometry = opty.Geometry(wavelength=1e-10, distance=2.0, pixel_size=55e-6)
    row, col = np.indices((60, 62))
    obj = (0.8 + 0.2 * np.sin(row / 4)) * np.exp(0.5j * np.cos(col / 5))
    data = experiment(obj, gaussian(16, 5), raster((5, 5), step=4), geometry=geometry)
    size, origin, truth = data.pixel, np.array([-3e-6, 1e-6]), data.truth
    path = tmp_path / "run.ptyr"
    with h5py.File(path, "w") as f:
        for what, name, array in (("probe", "S00", truth["probe"]), ("obj", "S00G00", truth["obj"][None])):
            f[f"content/{what}/{name}/data"] = array.astype("complex128")
            f[f"content/{what}/{name}/_psize"] = np.array([size, size])
            f[f"content/{what}/{name}/_origin"] = origin
        f["content/positions/S00G00"] = (truth["positions"] + 8) * size + origin
        f["content/pars/pickled"] = np.bytes_(b"\x80\x04boom")
        f["content/pars/pickled"].attrs["type"] = "pickle"
    return path, data


def test_result_of_ptypy_goes_on(ptyr):
    path, data = ptyr
    p = load(path, data=data, device="cpu")
    assert opty.misfit(p) < 1e-9
    np.testing.assert_allclose(p.positions, data.truth["positions"], atol=1e-9)
    assert (opty.rPIE() * p).iteration == 1


def test_state_as_a_result_of_ptypy_and_back(ptyr, tmp_path, identical):
    data = ptyr[1]
    p = opty.rPIE() ** 2 * PtychoState(data, modes=2, device="cpu", threads=1)
    export(tmp_path / "out.ptyr", p)
    q = load(tmp_path / "out.ptyr", data=data, device="cpu", threads=1)
    identical(q.obj, p.obj)
    np.testing.assert_allclose(q.probe, orthogonal(p.probe), rtol=1e-5, atol=1e-6 * abs(p.probe).max())
    np.testing.assert_allclose(q.positions, p.positions, rtol=0, atol=1e-9)
    assert opty.misfit(q) == pytest.approx(opty.misfit(p), rel=1e-5)


def test_what_opty_writes_as_a_result_has_ptypys_types(ptyr, tmp_path):
    data = ptyr[1]
    p = opty.rPIE() ** 2 * PtychoState(data, device="cpu", threads=1)
    save(tmp_path / "out.ptyr", p, format="ptyr")
    types = {}
    with h5py.File(tmp_path / "out.ptyr") as f:
        f.visititems(lambda name, node: types.update({name: node.attrs["type"]}))
        for name, shape in (("probe/S00", (1, 16, 16)), ("obj/S00G00", (1, *p.obj.shape))):
            storage = f[f"content/{name}"]
            assert (storage["data"].shape, storage["data"].dtype) == (shape, np.complex64)
            assert storage["_psize"][()].tolist() == [data.pixel] * 2
            np.testing.assert_allclose(storage["_origin"], -storage["_center"][()] * data.pixel)
        assert f["content/probe/S00/_energy"][()] == pytest.approx(data.geometry.energy / KEV)
        np.testing.assert_allclose(f["content/positions/S00G00"], data.positions, rtol=0, atol=1e-15)
        last = f["content/runtime/iter_info/00000"]
        assert (last["iteration"][()], last["engine"][()]) == (2, b"rPIE() ** 2")
        assert last["error"][()].tolist() == [p.history["misfit"][-1]]
    assert types["content/runtime/iter_info"] == "list"
    assert {types[f"content/{name}"] for name in ("obj", "probe/S00")} == {"dict"}
    assert {types[f"content/{name}"] for name in ("pars", "runtime")} == {"param"}  # else load_run of PtyPy fails
    assert {types[f"content/obj/S00G00/{name}"] for name in ("data", "_psize", "_origin")} == {"array"}
    assert types["content/probe/S00/_energy"] == "scalar"


def test_what_a_result_of_ptypy_cannot_be(ptyr, tmp_path):
    data = ptyr[1]
    with pytest.raises(TypeError, match="'ptyr' is a format of results: save a PtychoState"):
        save(tmp_path / "out.ptyr", data, format="ptyr")
    p = PtychoState(data, device="cpu")
    with pytest.raises(ValueError, match="leave crop out"):
        export(tmp_path / "out.ptyr", p, crop=True)
    in_pixels = PtychoState(opty.PtychoData(data.intensities, data.positions_px), device="cpu")
    with pytest.raises(ValueError, match=r"PtyPy's .ptyr holds lengths in metres"):
        export(tmp_path / "out.ptyr", in_pixels)
    assert list(tmp_path.glob("out*")) == []


def test_result_of_ptypy_without_recorded_positions(ptyr):
    path, data = ptyr
    with h5py.File(path, "a") as f:
        del f["content/positions"]
        origin = f["content/obj/S00G00/_origin"][()]
    where = (data.truth["positions"] + 8) * data.pixel + origin
    assert opty.misfit(load(path, data=data.replace(positions=where), device="cpu")) < 1e-9


def test_result_of_ptypy_whose_object_is_too_small_for_its_positions(ptyr):
    """Found by the soak: a plain ValueError, which did not name the file."""
    path, data = ptyr
    with h5py.File(path, "a") as f:
        f["content/obj/S00G00/_origin"][...] = [5e-6, 5e-6]
    with pytest.raises(
        FormatError, match=r"run.ptyr: obj has shape \(60, 62\) but the windows of 16 x 16 cover rows -"
    ):
        load(path, data=data)


def test_result_of_ptypy_needs_data(ptyr):
    path, data = ptyr
    save(path.with_name("m.h5"), data)
    assert load(path, data=path.with_name("m.h5"), device="cpu").data.views == data.views
    with pytest.raises(TypeError, match=r"no intensities: .*opty\.load\('run\.ptyr', data='SCAN'\)"):
        load(path)
    with h5py.File(path, "a") as f:
        del f["content/probe/S00/data"]
        f["content/probe/S00/data"] = np.bytes_(b"\x80\x04boom")
        f["content/probe/S00/data"].attrs["type"] = "pickle"
    with pytest.raises(FormatError, match="content/probe/S00/data is a Python pickle, which opty never runs"):
        load(path, data=data)
