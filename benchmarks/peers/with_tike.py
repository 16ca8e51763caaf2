"""tike: takes opty's npz as its examples do, and makes one of raw beamline files with its own reader.

tike imports CuPy and cuFFT when it is imported, but its checks, its padded object, its parameter classes and its
readers of beamline files compute with NumPy. Only its forward model and its engines need a CUDA device.
"""

import sys
from pathlib import Path

import numpy as np
import tike_libraries  # noqa: F401

# isort: split
import cupy
import h5py
import tike.ptycho
import tike.ptycho.io

task, folder = sys.argv[1], Path(sys.argv[2])
truth = np.load(folder / "truth.npz")


def has_device():
    try:
        return cupy.cuda.runtime.getDeviceCount() > 0
    except cupy.cuda.runtime.CUDARuntimeError:
        return False


def read():
    with np.load(folder / "scan.npz") as f:
        data, scan, probe = f["data"][0], f["scan"][0].astype("float32"), f["probe"][0]
    psi, moved = tike.ptycho.object.get_padded_object(scan, probe)
    tike.ptycho.check_allowed_positions(moved, psi, probe.shape)
    parameters = tike.ptycho.PtychoParameters(
        psi=psi[None],
        probe=probe,
        scan=moved,
        probe_options=tike.ptycho.ProbeOptions(),
        algorithm_options=tike.ptycho.RpieOptions(num_iter=20, num_batch=6),
    )
    out = {"counts": np.fft.fftshift(data, axes=(1, 2)), "positions": parameters.scan, "lengths": []}
    if has_device():
        shift = np.rint(truth["corners"][0] - moved[0]).astype(int)
        big = truth["obj"][None, shift[0] :, shift[1] :].astype("complex64")
        predicted = tike.ptycho.simulate(
            data.shape[-1], truth["probe"][None, None, None].astype("complex64"), moved, big
        )
        result = tike.ptycho.reconstruct(data, parameters)
        costs = [np.mean(cost) for cost in result.algorithm_options.costs]
        out |= {"predicted": np.fft.fftshift(predicted, axes=(1, 2)), "before": costs[0], "after": costs[-1]}
    else:
        print("its forward model and engines need a CUDA device, and there is none")
    np.savez(folder / "found.npz", **out)


def write():
    """Frames on a larger detector and motor positions in nanometres, as APS's Velociprobe has them; tike reads them."""
    n, (wavelength, distance, pixel) = truth["counts"].shape[-1], truth["lengths"]
    side, centre = n + 8, (n + 8) // 2
    frames = np.zeros((len(truth["counts"]), side, side), truth["counts"].dtype)
    frames[:, centre - n // 2 : centre + n // 2, centre - n // 2 : centre + n // 2] = truth["counts"]
    with h5py.File(folder / "raw.h5", "w") as f:
        f["/entry/data/data_000000"] = frames
        detector = f.create_group("/entry/instrument/detector")
        detector["detectorSpecific/photon_energy"] = 1e3 * tike.constants.wavelength(1.0) * 1e-2 / wavelength
        detector["detectorSpecific/x_pixels_in_detector"] = detector["detectorSpecific/y_pixels_in_detector"] = side
        detector["beam_center_x"] = detector["beam_center_y"] = centre
        detector["detector_distance"], detector["x_pixel_size"] = distance, pixel
        f["/entry/sample/goniometer/chi"] = [0.0]
    nanometres = np.rint(truth["positions"] * 1e9)
    table = np.zeros((len(nanometres), 8))
    table[:, 5], table[:, 1], table[:, 7] = -nanometres[:, 0], nanometres[:, 1], np.arange(len(nanometres))
    np.savetxt(folder / "raw.csv", table, fmt="%d", delimiter=",")
    data, scan = tike.ptycho.io.read_aps_velociprobe(folder / "raw.h5", folder / "raw.csv")
    probe = truth["probe"][None, None, None].astype("complex64")
    np.savez(folder / "theirs.npz", data=data[None], scan=scan[None], probe=probe)
    np.savez(folder / "told.npz", counts=truth["counts"], positions=nanometres * 1e-9, lengths=[])


{"read": read, "write": write}[task]()
