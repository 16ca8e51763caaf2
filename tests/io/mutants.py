"""What the fuzz search mutates, and how: a small measurement in every format, and changes of bytes and of structure."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import numpy as np
from detector_seeds import detector_seeds

SECRET = 777  # counts of a file that no link may reach
LENGTHS = {"wavelength": 1e-10, "distance": 2.0, "pixel_size": 55e-6}


# -- what is mutated: for each format a folder of small files, the one to load, the options, and whether it is guarded


def seeds(folder: Path) -> dict[str, tuple[Path, dict, bool]]:
    """Write a small measurement in every format; name -> (path, options, guarded by checksums)."""
    import opty
    from opty.data.scan_grid import scan_grid
    from opty.io import registry

    rng = np.random.default_rng(0)
    counts = rng.poisson(9.0, (3, 8, 8)).astype("uint16")
    geometry, where = opty.Geometry(**LENGTHS), rng.uniform(-1e-6, 1e-6, (3, 2))
    probe = (rng.normal(size=(2, 8, 8)) + 1j).astype("complex64")
    data = opty.PtychoData(counts, where, geometry, probe=probe)
    names = {"tiff": "scan.tif", "ptychi": "scan_dp.hdf5", "tike": "scan.npz", "nexus": "scan.nxs"}
    names |= dict.fromkeys(("ptylab", "tike-hdf5"), "scan.hdf5") | {"cxi-pynx": "scan.cxi"}
    out = {}
    for key in (form.key for form in registry.FORMATS if form.write is not None and not form.of_state):
        if key == "emd":  # of electrons on a grid, below
            continue
        path = _folder(folder, key) / names.get(key, f"scan.{key}")
        changes = {"mask": np.eye(8) == 0} if key in ("cxi", "nexus", "ptyd") else {}
        changes |= {"probe": None} if key in ("cxi-pynx", "tiff") else {}
        opty.save(path, data.replace(**changes), format=key)
        out[key] = (path, {}, key != "tiff")
    out["emd"] = (_folder(folder, "emd") / "scan.h5", {}, True)
    lens = opty.Geometry.from_reciprocal(4e-3, voltage=300e3, semi_angle=10e-3)
    opty.save(out["emd"][0], opty.PtychoData(np.tile(counts, (2, 1, 1)), scan_grid((2, 3), 1e-10), lens), format="emd")
    out["data"] = (_folder(folder, "data") / "scan.h5", {}, True)
    opty.save(out["data"][0], data)
    out["result"] = (_folder(folder, "result") / "result.h5", {}, True)
    p = opty.PtychoState(data, device="cpu", threads=1)
    opty.save(out["result"][0], p)
    out["checkpoint"] = (_folder(folder, "checkpoint") / "checkpoint.h5", {}, True)
    save = f"Save('{out['checkpoint'][0].as_posix()}')"
    next(iter(opty.parse(f"({save} * rPIE()) ** 2").iter(p.replace(probe=probe))))  # after one of two turns
    for key in ("cxi", "ptyd", "ptylab", "nexus"):  # as other programs write them: older HDF5, no checksums
        path = _folder(folder, f"{key}-plain") / f"scan.{key}"
        _plainly(out[key][0], path)
        out[f"{key}-plain"] = (path, {}, False)
    out["ptyr"] = (_folder(folder, "ptyr") / "scan.ptyr", {"data": str(out["cxi"][0])}, False)
    _result_of_ptypy(out["ptyr"][0], p)
    for package, write in PEERS.items():
        name = f"{package}-result"
        out[name] = (_folder(folder, name) / "result.h5", {"data": str(out["cxi"][0])}, False)
        write(out[name][0], p)
    out["ptyd-linked"] = (_folder(folder, "ptyd-linked") / "scan.ptyd", {"links": "scan.ptyd.part*"}, False)
    _with_a_part(out["ptyd-plain"][0], out["ptyd-linked"][0])
    out["mapping"] = (_folder(folder, "mapping") / "scan.h5", {"mapping": str(_mapping(folder))}, False)
    _plainly(out["ptylab"][0], out["mapping"][0])
    out["mapping-files"] = _several(_folder(folder, "mapping-files"), counts, where, probe)
    np.save(_folder(folder, "npy") / "scan.npy", counts[None])
    electrons = {"voltage": "300kV", "reciprocal_pixel": "4mrad", "scan_step": "1A", "semi_angle": "10mrad"}
    out["npy"] = (folder / "npy/scan.npy", electrons, False)
    np.savez(_folder(folder, "npz") / "scan.npz", diff=counts, pos=where * 1e8, probe0=probe)
    out["npz"] = (folder / "npz/scan.npz", {}, True)
    out |= detector_seeds(folder, counts, where)
    with h5py.File(folder / "secret.h5", "w") as f:
        f["data"] = np.full((3, 8, 8), SECRET, "uint16")
    return out


def _folder(folder: Path, name: str) -> Path:
    (folder / name).mkdir()
    return folder / name


def _mapping(folder: Path) -> Path:
    path = folder / "lab.toml"
    path.write_text(
        '[frames]\npath = "/ptychogram"\n[positions]\npath = "/encoder"\n[geometry]\n'
        'wavelength = { path = "/wavelength" }\ndistance = { path = "/zo" }\npixel_size = { path = "/dxd" }\n'
    )
    return path


def _several(folder: Path, counts: np.ndarray, where: np.ndarray, probe: np.ndarray) -> tuple[Path, dict, bool]:
    """Write amplitudes in two datasets, positions in a table, and a probe as MATLAB stores it."""
    pair = np.zeros(probe.shape, [("real", "f4"), ("imag", "f4")])
    pair["real"], pair["imag"] = probe.real, probe.imag
    with h5py.File(folder / "scan.h5", "w") as f:
        f["d/part_2"], f["d/part_10"], f["probe"] = np.sqrt(counts[:2]), np.sqrt(counts[2:]), pair
        f["e"] = 6.2
        f["e"].attrs["units"] = "keV"
    rows = "\n".join(f"{row},{column}" for row, column in where * 1e6)
    (folder / "scan.csv").write_text("y,x\n" + rows)
    (folder / "lab.toml").write_text(
        '[frames]\npath = "/d/part_*"\namplitude = true\n[positions]\nfile = "{stem}.csv"\n'
        'row = { column = "y", unit = "um" }\ncolumn = { column = "x", unit = "um" }\n[probe]\npath = "/probe"\n'
        '[geometry]\nenergy = { path = "/e" }\ndistance = { value = 2 }\npixel_size = { value = 55, unit = "um" }\n'
    )
    return folder / "scan.h5", {"mapping": str(folder / "lab.toml")}, False


def _result_of_ptypy(path: Path, p) -> None:
    """Write object, probe and positions as PtyPy does."""
    pixel = p.data.pixel
    with h5py.File(path, "w") as f:
        for what, name, array in (("probe", "S00", p.probe), ("obj", "S00G00", p.obj[None])):
            group = f.create_group(f"content/{what}/{name}")
            group.create_dataset("data", data=array, compression="gzip")
            group["_psize"], group["_origin"] = np.array([pixel, pixel]), np.zeros(2)
            for node in group.values():
                node.attrs["type"] = "array"
        f["content/positions/S00G00"] = (p.positions + p.data.n // 2) * pixel


def _result_of_ptylab(path: Path, p) -> None:
    """Write object, probe and positions as PtyLab's saveResults does."""
    with h5py.File(path, "w") as f:
        f["object"], f["probe"] = p.obj[None, None, None, None], p.probe[None, None, :, None]
        f["encoder_corrected"] = (p.positions - p.obj.shape[-1] // 2 + p.data.n // 2) * p.data.pixel
        f["dxp"], f["wavelength"], f["zo"] = np.array([[p.data.pixel]]), 1e-10, 2.0


def _result_of_pynx(path: Path, p) -> None:
    """Write object, probe and positions as PyNX's save_obj_probe_cxi does."""
    x_y = (p.positions[:, ::-1] * p.data.pixel).T
    with h5py.File(path, "w") as f:
        f["cxi_version"] = 140
        for name, image in (("object", p.obj[None]), ("probe", p.probe)):
            f[f"entry_1/{name}/data"] = np.flip(image, axis=-2)
        f["entry_1/probe/x_pixel_size"] = f["entry_1/probe/y_pixel_size"] = p.data.pixel
        f["entry_1/positions/data"] = np.concatenate([x_y, 0 * x_y])


def _result_of_cdtools(path: Path, p) -> None:
    """Write object, probe and positions as CDTools' FancyPtycho does."""
    basis = np.array([[0, -1.0], [-1.0, 0], [0, 0]]) * p.data.pixel
    with h5py.File(path, "w") as f:
        f["obj"], f["probe"], f["obj_basis"] = p.obj, p.probe, basis
        f["translations"], f["oversampling"], f["weights"] = p.positions @ basis.T, 1, np.ones(p.data.views)
        f["state_dict/min_translation"] = np.zeros(2)


def _result_of_ptyrad(path: Path, p) -> None:
    """Write two slices, probe and positions as PtyRAD does of X-rays."""
    arrays = {"obja": np.abs(p.obj), "objp": np.angle(p.obj)}
    with h5py.File(path, "w") as f:
        for name, image in arrays.items():
            f[f"optimizable_tensors/{name}"] = np.stack([image, image])[None]
        f["optimizable_tensors/probe"], f["optimizable_tensors/slice_thickness"] = p.probe, 1e-5
        f["optimizable_tensors/obj_tilts"] = np.zeros((1, 2), np.float32)
        whole = np.rint(p.positions)
        f["optimizable_tensors/probe_pos_shifts"], f["model_attributes/crop_pos"] = p.positions - whole, whole
        f["model_attributes/omode_occu"], f["model_attributes/dx"] = np.ones(1), p.data.pixel
        f["model_attributes/simu_Npix"] = f["model_attributes/meas_Npix"] = 8
        for name, text in (("probe_illum_type", "xray"), ("meas_normalization/mode", "max_at_one")):
            f[f"params/init_params/{name}"] = text


def _result_of_pear(path: Path, p) -> None:
    """Write two slices, a probe that varies and positions as PEAR does of a run of pty-chi."""
    with h5py.File(path, "w") as f:
        f["object"], f["probe"] = np.stack([p.obj, p.obj]), np.stack([p.probe, 1j * p.probe])
        f["opr_mode_weights"] = np.array([[1.0, 0.1 * k] for k in range(p.data.views)])
        f["positions_px"] = p.positions - np.round(np.array(p.obj.shape) / 2) + 3
        f["obj_pixel_size_m"], f["slice_spacings_m"] = p.data.pixel, [1e-5]


def _product_of_ptychodus(path: Path, p) -> None:
    """Write two layers, a probe that varies and positions as Ptychodus saves a product."""
    _result_of_pear(path, p)
    with h5py.File(path, "a") as f:
        centres = (p.positions + 3.5 - (np.array(p.obj.shape) - 1) / 2) * f["obj_pixel_size_m"][()]
        f["probe_position_y_m"], f["probe_position_x_m"] = centres.T
        f["object"].attrs.update(dict.fromkeys(("pixel_height_m", "pixel_width_m"), f["obj_pixel_size_m"][()]))
        f["object"].attrs.update({"center_x_m": 0.0, "center_y_m": 0.0})
        f.move("opr_mode_weights", "opr_weights")
        f.move("slice_spacings_m", "object_layer_spacing_m")
        f["probe_position_indexes"] = np.arange(len(centres))
        del f["positions_px"], f["obj_pixel_size_m"]


PEERS = {
    "ptylab": _result_of_ptylab,
    "pynx": _result_of_pynx,
    "cdtools": _result_of_cdtools,
    "ptyrad": _result_of_ptyrad,
    "pear": _result_of_pear,
    "ptychodus": _product_of_ptychodus,
}


def _with_a_part(whole: Path, master: Path) -> None:
    """Write a .ptyd again with its chunk in a file of its own, as PtyPy's save='link' does."""
    with h5py.File(whole) as f, h5py.File(master, "w") as g, h5py.File(f"{master}.part000", "w") as part:
        f.copy("meta", g)
        for name in f["chunks/0"]:
            f.copy(f"chunks/0/{name}", part)
        g["chunks/0"] = h5py.ExternalLink(f"{master.name}.part000", "/")


def _plainly(source: Path, target: Path) -> None:
    """Write the same content as h5py does by itself."""
    with h5py.File(source) as f, h5py.File(target, "w") as g:
        nodes = {}
        f.visititems_links(nodes.__setitem__)
        for name, link in nodes.items():
            if isinstance(link, h5py.SoftLink):
                g[name] = link
            elif isinstance(node := f[name], h5py.Dataset):
                options = {"compression": "gzip", "chunks": node.chunks} if node.chunks and node.ndim == 3 else {}
                g.create_dataset(name, data=node[()], **options).attrs.update(node.attrs)
            else:
                g.require_group(name).attrs.update(node.attrs)


# -- how


def bytes_mutated(whole: bytes, rng: np.random.Generator) -> bytes:
    """Flip, overwrite, insert, cut, move: one to eight times."""
    out = bytearray(whole)
    extremes = (b"\0" * 8, b"\xff" * 8, b"\xff\xff\xff\x7f", b"\x00\x00\x00\x80", (10**12).to_bytes(8, "little"))
    for _ in range(int(rng.choice([1, 1, 1, 2, 3, 8]))):
        at, kind = int(rng.integers(len(out))), int(rng.integers(8))
        if kind <= 2:
            out[at] ^= 1 << int(rng.integers(8))
        elif kind == 3:
            out[at : at + 8] = rng.bytes(min(8, len(out) - at))
        elif kind == 4:
            value = extremes[int(rng.integers(len(extremes)))]
            out[at : at + len(value)] = value[: len(out) - at]
        elif kind == 5:
            del out[at : at + int(rng.integers(1, 64))]
        elif kind == 6:
            out[at:at] = rng.bytes(int(rng.integers(1, 64)))
        else:
            size, other = int(rng.integers(1, 256)), int(rng.integers(len(out)))
            out[at : at + size] = out[other : other + size]
        if len(out) < 8:
            break
    if rng.uniform() < 0.05:
        out = out[: int(rng.integers(len(out) + 1))]
    return bytes(out)


def _odd_values(rng: np.random.Generator, old: tuple[int, ...]) -> Iterator[Callable]:
    """Functions that put something else in place of a dataset: (file, name) -> None."""
    shapes = [(), (0,), (1,), (3,), (3, 2), (2, 3), (3, 3), (8, 8), (3, 8, 8), (3, 8, 9), (1, 3, 8, 8), (4, 8, 8)]
    shape = shapes[int(rng.integers(len(shapes)))]
    for value in (np.nan, np.inf, -1, 0, 1e300, 10**12):
        yield lambda f, name, v=value: f.__setitem__(name, np.full(old, v))
    for kind in ("S5", "c8", "?", ">i4", "f2", "u1", "i8", [("a", "i4"), ("b", "f4")]):
        yield lambda f, name, k=kind: f.__setitem__(name, np.zeros(shape, k))
        yield lambda f, name, k=kind: f.create_dataset(name, shape=old, dtype=k)
    yield lambda f, name: f.__setitem__(name, np.ones(shape))
    yield lambda f, name: f.__setitem__(name, "text")
    yield lambda f, name: f.__setitem__(name, h5py.Empty("f4"))
    yield lambda f, name: f.create_group(name)
    yield lambda f, name: f.create_dataset(name, shape=(10**12, 8, 8), chunks=(1, 8, 8), dtype="u2")
    yield lambda f, name: f.create_dataset(
        name, shape=(10**6, 512, 512), chunks=(1, 8, 8), dtype="u2", compression="gzip"
    )
    yield lambda f, name: f.create_dataset(name, shape=(10**12,), chunks=(8,), dtype="f8", fillvalue=1.0)
    yield lambda f, name: f.create_dataset(name, data=["a", "b"], dtype=h5py.string_dtype())
    yield lambda f, name: f.create_dataset(name, shape=(3,), dtype=h5py.vlen_dtype("i4"))
    yield lambda f, name: f.__setitem__(name, h5py.SoftLink("/" + name))
    yield lambda f, name: f.__setitem__(name, h5py.SoftLink("/nowhere"))
    yield lambda f, name: f.__setitem__(name, h5py.ExternalLink("../secret.h5", "/data"))
    yield lambda f, name: f.__setitem__(name, h5py.ExternalLink("/dev/zero", "/data"))
    yield lambda f, name: f.create_dataset(name, shape=old, dtype="u1", external=[("../secret.h5", 0, 4096)])
    yield _virtual


def _virtual(f: h5py.File, name: str) -> None:
    layout = h5py.VirtualLayout((3, 8, 8), "u2")
    layout[:] = h5py.VirtualSource("../secret.h5", "data", (3, 8, 8))
    f.create_virtual_dataset(name, layout)


def hdf5_mutated(path: Path, rng: np.random.Generator) -> None:
    """Put something odd in place of one or two nodes or attributes of an HDF5 file."""
    with h5py.File(path, "a") as f:
        for _ in range(int(rng.integers(1, 3))):
            nodes = []
            f.visit_links(nodes.append)
            if not nodes:
                return
            name = nodes[int(rng.integers(len(nodes)))]
            node = f[name] if isinstance(f.get(name, getlink=True), h5py.HardLink) else None
            if node is not None and len(node.attrs) and rng.uniform() < 0.3:
                key = list(node.attrs)[int(rng.integers(len(node.attrs)))]
                node.attrs[key] = [b"\xff", np.nan, -1, "pickle", np.zeros((2, 2)), h5py.Empty("i4")][
                    int(rng.integers(6))
                ]
                continue
            real = isinstance(node, h5py.Dataset) and node.shape is not None and node.size < 1000
            ways = list(_odd_values(rng, node.shape if real else (3,)))
            del f[name]
            if rng.uniform() < 0.9:
                ways[int(rng.integers(len(ways)))](f, name)


class Trap:
    """A pickle that leaves a mark if anyone loads it."""

    def __reduce__(self):
        return os.mkdir, (os.environ["OPTY_TRAP"],)


def npz_mutated(path: Path, rng: np.random.Generator) -> None:
    """Write an npz again with one array replaced, or with a header that lies about it."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = list(members)[int(rng.integers(len(members)))]
    kind = int(rng.integers(4))
    stream = io.BytesIO()
    if kind == 0:
        np.save(stream, np.array([Trap()], dtype=object), allow_pickle=True)
    elif kind == 1:
        shapes = [(), (0,), (3, 2), (3, 8, 8), (1, 3, 2), (2, 3, 8, 8), (3, 8, 9)]
        fill = [np.nan, -1, 0, 1, np.inf][int(rng.integers(5))]
        np.save(stream, np.full(shapes[int(rng.integers(len(shapes)))], fill))
    else:
        header = {"descr": ["<u2", "<f8", "|O", "<c16", "|V9", "<U3"][int(rng.integers(6))]}
        header |= {"fortran_order": bool(rng.integers(2))}
        header |= {"shape": [(10**12, 8, 8), (3, 8, 8), (-1, 8), (3,), (2**63, 2**63)][int(rng.integers(5))]}
        np.lib.format.write_array_header_1_0(stream, header)
        stream.write(rng.bytes(384))
    members[name] = stream.getvalue()
    with zipfile.ZipFile(path, "w", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED][int(rng.integers(2))]) as archive:
        for member, content in members.items():
            archive.writestr(member, content)


def mutate(path: Path, rng: np.random.Generator) -> bool:
    """Mutate one file of the folder in place; True if only bytes were changed, not the structure."""
    files = sorted(path.parent.iterdir())
    target = files[int(rng.integers(len(files)))]
    whole = target.read_bytes()
    written_to = whole[8:9] == b"\x03" and whole[11:12] != b"\0"  # by a process that is gone: HDF5 opens it no more
    if rng.uniform() < 0.3 and whole.startswith(b"\x89HDF") and not written_to:
        hdf5_mutated(target, rng)
        return False
    if rng.uniform() < 0.3 and whole.startswith(b"PK"):
        npz_mutated(target, rng)
        return False
    target.write_bytes(bytes_mutated(whole, rng))
    return True
