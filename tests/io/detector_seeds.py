"""Small measurements in the formats of detectors, for the fuzz search: written without opty, unguarded by checksums."""

from __future__ import annotations

import shutil
from pathlib import Path

import h5py
import numpy as np
import tifffile

LENGTHS = {"wavelength": 1e-10, "distance": 2.0, "pixel_size": 55e-6}


MICROSCOPE = {"voltage": 300e3, "distance": 0.5, "scan_step": 1e-10, "scan_shape": [1, 3]}


def detector_seeds(folder: Path, counts: np.ndarray, where: np.ndarray) -> dict[str, tuple[Path, dict, bool]]:
    """Write counts (3, 8, 8) at positions (3, 2) [m] in each format; name -> (path, options, guarded)."""
    np.save(folder / "where.npy", where)
    placed = {"positions": str(folder / "where.npy")}
    return {
        "dectris": (_dectris(_folder(folder, "dectris"), counts, {"compression": "gzip"}), placed, False),
        "dectris-bslz4": (_dectris(_folder(folder, "dectris-bslz4"), counts, _bitshuffle()), placed, False),
        "growing": (_growing(_folder(folder, "growing"), counts), placed | {"views": "0:3"}, False),
        "packed": _packed(_folder(folder, "packed"), counts),
        "tiff-pages": (_pages(_folder(folder, "tiff-pages"), counts), placed | LENGTHS, False),
        "tiff-series": (_series(_folder(folder, "tiff-series"), counts), placed | LENGTHS, False),
        "merlin": (_merlin(_folder(folder, "merlin"), counts), MICROSCOPE, False),
        "merlin-raw": (_merlin_raw(_folder(folder, "merlin-raw"), counts), MICROSCOPE, False),
        "empad": (_empad(_folder(folder, "empad")), {"scan_step": 1e-10}, False),
        "emd-plain": (_emd(_folder(folder, "emd-plain"), counts), {"voltage": 300e3}, False),
        "fold-slice": (_fold_slice(_folder(folder, "fold-slice"), counts, where), {}, False),
        "mat": (_mat(_folder(folder, "mat"), counts, where), {}, False),
        "twinmic": (_twinmic(_folder(folder, "twinmic"), counts, where), LENGTHS, False),
    }


def _folder(folder: Path, name: str) -> Path:
    (folder / name).mkdir()
    return folder / name


def _bitshuffle() -> dict:
    import hdf5plugin

    return dict(hdf5plugin.Bitshuffle(cname="lz4"))


def _dectris(folder: Path, counts: np.ndarray, packing: dict) -> Path:
    """A master with two parts, of two frames and one."""
    detector = "entry/instrument/detector/"
    with h5py.File(folder / "scan_master.h5", "w") as f:
        for number, part in ((1, counts[:2]), (2, counts[2:])):
            with h5py.File(folder / f"scan_data_{number:06d}.h5", "w") as g:
                data = g.create_dataset("entry/data/data", data=part, chunks=(1, 8, 8), **packing)
                data.attrs["image_nr_low"] = 2 * number - 1
            link = h5py.ExternalLink(f"scan_data_{number:06d}.h5", "entry/data/data")
            f[f"entry/data/data_{number:06d}"] = link
        f["entry/instrument/beam/incident_wavelength"] = 1.0
        f["entry/instrument/beam/incident_wavelength"].attrs["units"] = "angstrom"
        f[f"{detector}detector_distance"] = 2.0
        f[f"{detector}x_pixel_size"] = f[f"{detector}y_pixel_size"] = 55e-6
        f[f"{detector}detectorSpecific/pixel_mask"] = np.zeros((8, 8), "uint32")
        f[f"{detector}detectorSpecific/countrate_correction_count_cutoff"] = 1000
    return folder / "scan_master.h5"


def _growing(folder: Path, counts: np.ndarray) -> Path:
    """A master with its frames in it, as another process sees it while it is written (SWMR)."""
    with h5py.File(folder / "own.h5", "w", libver="latest") as f:
        frames = f.create_dataset(
            "entry/data/data_000001", (9, 8, 8), counts.dtype, maxshape=(None, 8, 8), chunks=(1, 8, 8)
        )
        frames[: len(counts)] = counts
        f["entry/instrument/beam/incident_wavelength"] = 1.0
        f["entry/instrument/detector/detector_distance"] = 2.0
        f["entry/instrument/detector/x_pixel_size"] = f["entry/instrument/detector/y_pixel_size"] = 55e-6
        f.swmr_mode = True
        shutil.copy(folder / "own.h5", folder / "scan_master.h5")
    (folder / "own.h5").unlink()
    return folder / "scan_master.h5"


def _packed(folder: Path, counts: np.ndarray) -> tuple[Path, dict, bool]:
    """Frames packed with a filter of hdf5plugin each, read through a mapping."""
    import hdf5plugin

    filters = [hdf5plugin.LZ4(), hdf5plugin.Zstd(), hdf5plugin.Blosc(), hdf5plugin.Blosc2(), hdf5plugin.BZip2()]
    filters += [hdf5plugin.Bitshuffle(cname="zstd")]
    with h5py.File(folder / "scan.h5", "w") as f:
        for k, filter_ in enumerate(filters):
            f.create_dataset(f"d/{k}", data=counts[k % 3 :][:1], chunks=(1, 8, 8), **filter_)
        f["p"] = np.arange(2.0 * len(filters)).reshape(-1, 2)
    (folder.parent / "packed.toml").write_text('[frames]\npath = "/d/*"\n[positions]\npath = "/p"\npixels = true\n')
    return folder / "scan.h5", {"mapping": str(folder.parent / "packed.toml")}, False


def _pages(folder: Path, counts: np.ndarray) -> Path:
    with tifffile.TiffWriter(folder / "scan.tif") as tif:
        for frame in counts:
            tif.write(frame, compression="zlib")
    return folder / "scan.tif"


def _series(folder: Path, counts: np.ndarray) -> Path:
    for number, frame in enumerate(counts):
        tifffile.imwrite(folder / f"scan_{number}.tif", frame)
    return folder / "scan_0.tif"


def _twinmic(folder: Path, counts: np.ndarray, where: np.ndarray) -> Path:
    tifffile.imwrite(folder / "scan.tif", counts, photometric="minisblack")
    with h5py.File(folder / "scan.hdf5", "w") as f:
        f["sample_motors/sample_x_pos"], f["sample_motors/sample_y_pos"] = where[:, 1] * 1e6, where[:, 0] * 1e6
    return folder / "scan.tif"


def _merlin(folder: Path, counts: np.ndarray) -> Path:
    head = b"MQ1,000001,00384,01,0008,0008,U16,   1x1,01,2020-05-18,0.1,0,MQ1A,2020-05-18T14:51:49Z,555000ns,12,"
    (folder / "scan.mib").write_bytes(b"".join(head.ljust(384, b"\0") + one.astype(">u2").tobytes() for one in counts))
    (folder / "scan.hdr").write_text("HDR,\t\nScanX:\t3\nScanY:\t1\nEnd\t")
    return folder / "scan.mib"


def _merlin_raw(folder: Path, counts: np.ndarray) -> Path:
    head = b"MQ1,000001,00384,01,0008,0008,R64,   1x1,01,2020-05-18,0.1,0,MQ1A,2020-05-18T14:51:49Z,555000ns,12,"
    turned = counts.reshape(3, 16, 4)[:, :, ::-1].astype(">u2")
    (folder / "scan.mib").write_bytes(b"".join(head.ljust(384, b"\0") + one.tobytes() for one in turned))
    return folder / "scan.mib"


def _empad(folder: Path) -> Path:
    frames = np.random.default_rng(1).poisson(2.0, (2, 130, 128)).astype("<f4")
    (folder / "scan.raw").write_bytes(frames.tobytes())
    (folder / "scan.xml").write_text(
        '<root><raw_file filename="scan.raw"/><scan_parameters mode="acquire"><scan_resolution_y>1</scan_resolution_y>'
        "<scan_resolution_x>2</scan_resolution_x></scan_parameters><iom_measurements><high_voltage>300000.0</high_voltage>"
        "<calibrated_diffraction_angle>0.0005</calibrated_diffraction_angle></iom_measurements></root>"
    )
    return folder / "scan.xml"


def _emd(folder: Path, counts: np.ndarray) -> Path:
    with h5py.File(folder / "scan.h5", "w") as f:
        group = f.create_group("datacube_root/datacube")
        group.attrs["emd_group_type"] = "array"
        group.create_dataset("data", data=counts[None], chunks=(1, 1, 8, 8), compression="gzip")
        for k, (unit, step) in enumerate((("nm", 0.1), ("nm", 0.1), ("mrad", 0.5), ("mrad", 0.5))):
            group[f"dim{k}"] = np.array([0.0, step])
            group[f"dim{k}"].attrs["units"] = unit
        known = {"R_pixel_size": 0.1, "Q_pixel_size": 0.5, "QR_rotation": 0.2, "convergence_semiangle_mrad": 1.5}
        known |= {"R_pixel_units": "nm", "Q_pixel_units": "mrad", "QR_flip": True, "qx0_mean": 4.0, "qy0_mean": 4.0}
        for name, value in known.items():
            f[f"datacube_root/metadatabundle/calibration/{name}"] = value
    return folder / "scan.h5"


def _fold_slice(folder: Path, counts: np.ndarray, where: np.ndarray) -> Path:
    with h5py.File(folder / "data_roi0_dp.hdf5", "w") as f:
        f.create_dataset("dp", data=counts, chunks=(1, 8, 8), compression="gzip")
    with h5py.File(folder / "data_roi0_para.hdf5", "w") as f:
        f["ppY"], f["ppX"], f["lambda"], f["dx"] = -where[:, 0], -where[:, 1], np.array([1e-10]), np.array([4e-7])
    return folder / "data_roi0_dp.hdf5"


def _mat(folder: Path, counts: np.ndarray, where: np.ndarray) -> Path:
    arrays = {"dp": counts.transpose(0, 2, 1), "ppY": -where[None, :, 0], "ppX": -where[None, :, 1]}
    with h5py.File(folder / "scan.mat", "w", userblock_size=512) as f:
        for name, array in (arrays | {"lambda": np.array([[1e-10]]), "dx": np.array([[4e-7]])}).items():
            f[name] = array
            f[name].attrs["MATLAB_class"] = np.bytes_("double")
    return folder / "scan.mat"
