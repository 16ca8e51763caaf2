"""PtyLab: reads opty's HDF5, writes a measurement of its own."""

import sys
from pathlib import Path

import h5py
import matplotlib as mpl
import numpy as np

mpl.use("Agg")

import PtyLab
from PtyLab.Operators.Operators import object2detector

task, folder = sys.argv[1], Path(sys.argv[2])
truth = np.load(folder / "truth.npz")


def prediction(found, reconstruction, params):
    """Counts that PtyLab's forward model makes of the truth, at the pixel positions that PtyLab computes."""
    corners = reconstruction.positions
    shift = truth["corners"][0] - corners[0]
    n, out = found.ptychogram.shape[-1], []
    for row, column in corners + shift:
        reconstruction.esw = truth["obj"][row : row + n, column : column + n] * truth["probe"][None, None, :, None]
        fields = object2detector(reconstruction.esw, params, reconstruction)
        out.append((np.abs(fields[-1] if isinstance(fields, tuple) else fields) ** 2).sum(axis=(0, 1, 2, 3)))
    return np.array(out)


def own_prediction(found, reconstruction, params):
    """Counts of PtyLab's forward model for the object and the probe of its run."""
    n, out = found.ptychogram.shape[-1], []
    for row, column in reconstruction.positions:
        reconstruction.esw = reconstruction.object[..., row : row + n, column : column + n] * reconstruction.probe
        fields = object2detector(reconstruction.esw, params, reconstruction)
        out.append((np.abs(fields[-1] if isinstance(fields, tuple) else fields) ** 2).sum(axis=(0, 1, 2, 3)))
    return np.array(out)


def read():
    np.random.seed(0)  # noqa: NPY002 - what PtyLab draws from
    path = folder / "scan.hdf5"
    found, reconstruction, params, _, engine = PtyLab.easyInitialize(
        path, engine=PtyLab.Engines.ePIE, dummyMonitor=True
    )
    predicted = prediction(found, reconstruction, params)
    counts, encoder = np.array(found.ptychogram), np.array(found.encoder)
    engine.numIterations = 15
    engine.reconstruct()
    reconstruction.saveResults(str(folder / "theirs-result.hdf5"), type="all")
    made = own_prediction(found, reconstruction, params)
    error = np.asarray(reconstruction.error).ravel()
    lengths = [float(found.wavelength), float(found.zo), float(found.dxd)]
    np.savez(
        folder / "found.npz",
        counts=counts,
        positions=encoder,
        lengths=lengths,
        predicted=predicted,
        before=error[0],
        after=error[-1],
        result_misfit=((np.sqrt(counts) - np.sqrt(made)) ** 2).sum() / counts.sum(),
    )


def write():
    """PtyLab's own generator writes 100 views of 128 x 128; single precision throughout."""
    from PtyLab.io.generateSimulationData import generate_simu_hdf5

    np.random.seed(0)  # noqa: NPY002 - what PtyLab draws from
    generate_simu_hdf5(folder / "theirs.hdf5")
    with h5py.File(folder / "theirs.hdf5") as f:
        lengths = [float(f[name][()].item()) for name in ("wavelength", "zo", "dxd")]
        np.savez(folder / "told.npz", counts=f["ptychogram"][()], positions=f["encoder"][()], lengths=lengths)


{"read": read, "write": write}[task]()
