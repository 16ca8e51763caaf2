"""pty-chi: takes the arrays of opty's pair of HDF5 files as its tutorials do; it writes no measurements."""

import sys
from pathlib import Path

import h5py
import numpy as np
import torch
import torchvision_alone  # noqa: F401

# isort: split
import ptychi.api as api
from ptychi.api.task import PtychographyTask
from ptychi.utils import rescale_probe

task, folder = sys.argv[1], Path(sys.argv[2])
truth = np.load(folder / "truth.npz")


def options_of(pixel, probe):
    options = api.LSQMLOptions()
    options.data_options.free_space_propagation_distance_m = np.inf
    options.object_options.pixel_size_m = pixel
    options.object_options.optimizable = options.probe_options.optimizable = True
    options.probe_position_options.optimizable = False
    options.reconstructor_options.batch_size = 6
    options.reconstructor_options.num_epochs = 30
    options.reconstructor_options.default_device = api.Devices.CPU
    return options


def task_of(arrays, pixel, obj, probe):
    counts, positions = arrays
    return PtychographyTask(
        options_of(pixel, probe),
        diffraction_data=torch.as_tensor(counts),
        object_data=torch.as_tensor(obj[None]),
        probe_data=torch.as_tensor(probe),
        probe_position_y_px=positions[:, 0] / pixel,
        probe_position_x_px=positions[:, 1] / pixel,
    )


def prediction(arrays, pixel):
    """Counts of pty-chi's forward model for the true object, laid in the middle of an array as pty-chi wants it."""
    low, high = truth["corners"].min(axis=0), truth["corners"].max(axis=0) + truth["probe"].shape[-1]
    n = truth["probe"].shape[-1]  # pty-chi's transform is not unitary: its probes are n times weaker than the photons
    obj = np.zeros(high - low + 20, np.complex64)
    first = np.rint(arrays[1][0] / pixel + np.round(np.array(obj.shape) / 2) - n / 2).astype(int)  # corner of a window
    row, column = first - (truth["corners"][0] - low)
    if abs(row - 10) > 1 or abs(column - 10) > 1:
        raise SystemExit(f"the scan lies at {row}, {column} of the array and not in its middle, at 10, 10")
    obj[row:, column:][: high[0] - low[0], : high[1] - low[1]] = truth["obj"][low[0] : high[0], low[1] : high[1]]
    whole = task_of(arrays, pixel, obj, (truth["probe"][None] / n).astype(np.complex64))
    with torch.no_grad():
        predicted = whole.reconstructor.forward_model(torch.arange(len(arrays[0])))
    return np.fft.fftshift(predicted.numpy(), axes=(-2, -1))  # pty-chi keeps the zero frequency in the corner


def read():
    torch.manual_seed(0)
    with h5py.File(folder / "scan_dp.hdf5") as f, h5py.File(folder / "scan_para.hdf5") as g:
        counts, probe, pixel = f["dp"][()], g["probe"][()], float(g["object"].attrs["pixel_height_m"])
        positions = np.stack([g["probe_position_y_m"][()], g["probe_position_x_m"][()]], axis=1)
        obj = g["object"][0]
    predicted = prediction((counts, positions), pixel)
    start = np.ones(np.array(obj.shape) + 20, np.complex64)
    with task_of((counts, positions), pixel, start, rescale_probe(probe, counts)) as whole:
        whole.run()
        losses = whole.reconstructor.loss_tracker.table["loss"].to_numpy()
        kept = np.fft.ifftshift(whole.dataset.patterns.numpy(), axes=(-2, -1))
    np.savez(
        folder / "found.npz",
        counts=kept,
        positions=positions,
        lengths=[],
        predicted=predicted,
        before=losses[0],
        after=losses[-1],
    )


{"read": read}[task]()
