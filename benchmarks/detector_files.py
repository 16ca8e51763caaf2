"""Files of detectors, written byte by byte from their published layouts, without opty: for detectors.py."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import tifffile

SHAPE, EDGE = (2, 3), 64  # views and pixels
BEAM = {"voltage": "200kV", "reciprocal_pixel": "0.5mrad", "scan_step": "1nm", "mask": "ignore"}


@dataclass(frozen=True)
class Sample:
    """A file, the kind of its detector, and what opty is told besides."""

    path: Path
    kind: str  # "merlin", "empad", "arina", "emd", "eiger" or "tiff"
    options: dict[str, Any] = field(default_factory=dict)


def written(folder: Path) -> dict[str, Sample]:
    """Write a file of each kind; name -> Sample."""
    out = {}
    for depth, bits in (("U08", 6), ("U16", 12), ("U32", 24)):
        out[f"Merlin {depth}"] = _merlin(
            folder, depth, bits, lambda image, d=depth: image.astype(f">u{int(d[1:]) // 8}")
        )
    for bits in (1, 6, 12):
        out[f"Merlin raw, {bits} bits"] = _merlin(folder, "R64", bits, lambda image, b=bits: _raw(image, b))
    # LiberTEM 0.16 looks for the second frame in the middle of the first
    out["Merlin raw, 24 bits"] = _merlin(folder, "R64", 24, lambda image: _raw(image, 24), (1, 1))
    return out | {
        "EMPAD": _empad(folder),
        "EMD (NCEM)": _emd(folder),
        "Arina": _dectris(folder, "arina", "uint16"),
        "Eiger": _dectris(folder, "eiger", "uint32"),
        "TIFF series": _series(folder),
    }


def counts(bits: int, edge: int = EDGE) -> np.ndarray:
    """Views of random counts of so many bits (6, edge, edge)."""
    return np.random.default_rng(bits).integers(0, 2**bits, (SHAPE[0] * SHAPE[1], edge, edge))


def _merlin(
    folder: Path, depth: str, bits: int, stored: Callable[[np.ndarray], np.ndarray], shape: tuple[int, int] = SHAPE
) -> Sample:
    """Frames with the header MQ1 of the Merlin manual, and the .hdr with the shape of the scan."""
    name = f"merlin_{depth}_{bits:02d}"
    columns = EDGE * 2 if depth == "R64" and bits == 24 else EDGE
    with open(folder / f"{name}.mib", "wb") as f:
        for number, image in enumerate(counts(bits)[: shape[0] * shape[1]], 1):
            start = f"MQ1,{number:06d},00384,01,{columns:04d},{EDGE:04d},{depth},   1x1,01,"
            rest = "2020-05-18 16:51:49.971626,0.000555,0,0,0,1.2E+2,5.11E+2,0,0,0,0,0,0,3RX,175,511,"
            stamp = f"MQ1A,2020-05-18T14:51:49.971626178Z,555000ns,{bits},"
            f.write((start + rest + stamp).encode().ljust(384, b"\0") + stored(image).tobytes())
    lines = {"Time and Date Stamp (day, mnth, yr, hr, min, s)": "18/05/2020 16:51:48", "Chip ID": "W530_K4, - , - , - "}
    lines |= {"Assembly Size (NX1, 2X2)": "   1x1", "Counter Depth (number)": str(bits)}
    lines |= {"Frames in Acquisition (Number)": str(shape[0] * shape[1]), "Frames per Trigger (Number)": str(shape[1])}
    text = "".join(f"{key}:\t{value}\n" for key, value in lines.items())
    (folder / f"{name}.hdr").write_text("HDR,\t\n" + text + "End\t")
    return Sample(folder / f"{name}.mib", "merlin", BEAM)


def _raw(image: np.ndarray, bits: int) -> np.ndarray:
    """A raw image as a Medipix sends it: 64 bits at a time, their pixels in reverse order."""
    if bits == 1:
        return np.packbits(image.reshape(-1, 8)[:, ::-1], axis=1).reshape(-1, 8)[:, ::-1]
    if bits == 6:
        return image.astype("u1").reshape(-1, 8)[:, ::-1]
    if bits == 12:
        return image.astype(">u2").reshape(-1, 4)[:, ::-1]
    return np.concatenate([_raw(image >> 12, 12), _raw(image & 0xFFF, 12)]).astype(">u2")


def _empad(folder: Path) -> Sample:
    frames = np.random.default_rng(0).poisson(3.0, (SHAPE[0] * SHAPE[1], 130, 128)).astype("<f4")
    (folder / "scan_x3_y2.raw").write_bytes(frames.tobytes())
    scan = "<scan_resolution_x>3</scan_resolution_x><scan_resolution_y>2</scan_resolution_y><scan_size>0.5</scan_size>"
    measured = "<source.get_voltage>300000.0</source.get_voltage>"
    measured += "<calibrated_diffraction_angle>0.0005</calibrated_diffraction_angle>"
    (folder / "empad.xml").write_text(
        '<root name="a"><timestamp timestamp="1559820600.164675" isoformat="2019-06-06T13:30:00.164675"/>'
        "<type>scan</type><software_version>0.51 211118</software_version><pix_x>3</pix_x><pix_y>2</pix_y>"
        '<raw_file filename="scan_x3_y2.raw"/><exposure_time>1</exposure_time>'
        f'<scan_parameters mode="acquire">{scan}</scan_parameters>'
        f"<iom_measurements>{measured}</iom_measurements></root>"
    )
    return Sample(folder / "empad.xml", "empad", {"scan_step": "1nm", "mask": "ignore"})


def _emd(folder: Path) -> Sample:
    """The layout 0.2 of NCEM."""
    with h5py.File(folder / "cube.emd", "w") as f:
        f.attrs["version_major"], f.attrs["version_minor"] = 0, 2
        group = f.create_group("data/cube")
        group.attrs["emd_group_type"] = 1
        group["data"] = counts(12).astype("uint16").reshape(*SHAPE, EDGE, EDGE)
        axes = {"y": ("[n_m]", 1.0), "x": ("[n_m]", 1.0), "ky": ("[mrad]", 0.5), "kx": ("[mrad]", 0.5)}
        for k, (name, (unit, step)) in enumerate(axes.items(), 1):
            axis = group.create_dataset(f"dim{k}", data=np.arange(group["data"].shape[k - 1]) * step)
            axis.attrs["name"], axis.attrs["units"] = np.bytes_(name), np.bytes_(unit)
    return Sample(folder / "cube.emd", "emd", {"voltage": "200kV", "mask": "ignore"})


def _dectris(folder: Path, kind: str, dtype: str) -> Sample:
    """A master with two parts, packed with Bitshuffle and LZ4."""
    import hdf5plugin

    frames = counts(12).astype(dtype)
    with h5py.File(folder / f"{kind}_master.h5", "w") as f:
        for number, part in ((1, frames[:4]), (2, frames[4:])):
            with h5py.File(folder / f"{kind}_data_{number:06d}.h5", "w") as g:
                packing = dict(hdf5plugin.Bitshuffle(cname="lz4"))
                data = g.create_dataset("entry/data/data", data=part, chunks=(1, EDGE, EDGE), **packing)
                data.attrs["image_nr_low"], data.attrs["image_nr_high"] = 4 * number - 3, 4 * number - 4 + len(part)
            link = h5py.ExternalLink(f"{kind}_data_{number:06d}.h5", "entry/data/data")
            f[f"entry/data/data_{number:06d}"] = link
        f["entry/instrument/detector/x_pixel_size"] = f["entry/instrument/detector/y_pixel_size"] = 1e-4
    return Sample(folder / f"{kind}_master.h5", kind, BEAM | {"scan_shape": SHAPE})


def _series(folder: Path) -> Sample:
    (folder / "series").mkdir()
    for number, frame in enumerate(counts(12).astype("uint16"), 8):  # 8 to 13: 10 comes after 9
        tifffile.imwrite(folder / f"series/scan_{number}.tif", frame)
    np.save(folder / "series/where.npy", np.indices(SHAPE).reshape(2, -1).T * 1e-9)
    lengths = {"wavelength": "0.1nm", "distance": "1m", "pixel_size": "50um"}
    return Sample(folder / "series/scan_8.tif", "tiff", lengths)
