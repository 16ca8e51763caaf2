"""PtyLab's engines, a view at a time: ePIE, mPIE. On the CPU only: its GPU mode takes an installation of its own."""

import h5py
import matplotlib as mpl
import numpy as np
from turns import diff, engine, folder, pos, probe0, serve, threads

mpl.use("Agg")

import PtyLab

WAVELENGTH, DISTANCE, PIXEL = 1.2e-10, 2.0, 75e-6
n, modes = diff.shape[-1], len(probe0)
sample_pixel = WAVELENGTH * DISTANCE / (n * PIXEL)
path = folder / f"scan-{engine}-{threads}.hdf5"
with h5py.File(path, "w") as f:
    f["ptychogram"] = diff
    f["encoder"] = (pos - (pos.min(axis=0) + pos.max(axis=0)) / 2) * sample_pixel
    for key, value in (("wavelength", WAVELENGTH), ("zo", DISTANCE), ("dxd", PIXEL), ("orientation", 0)):
        f[key] = value
    f["entrancePupilDiameter"] = n / 2 * sample_pixel

np.random.seed(0)  # noqa: NPY002 - what PtyLab draws from
kind = getattr(PtyLab.Engines, engine)
data, reconstruction, params, monitor, _ = PtyLab.easyInitialize(path, engine=kind, dummyMonitor=True)
path.unlink()
reconstruction.npsm = modes
reconstruction.initializeObjectProbe()
reconstruction.probe = probe0[None, None, :, None].astype(np.complex64)
whole = kind(reconstruction, data, params, monitor)
if engine == "mPIE":
    whole.alphaProbe = 1  # its default, 0.1, diverges


def iterate(count):
    whole.numIterations = count
    whole.reconstruct()
    return np.asarray(reconstruction.error).ravel()[-1]


serve(iterate)
