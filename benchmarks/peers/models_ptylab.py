"""PtyLab: four iterations of e3PIE on two slices in a medium, from the true probe, and the file that it saves."""

import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np

mpl.use("Agg")

import PtyLab
from PtyLab.Engines.e3PIE import e3PIE
from PtyLab.Operators.Operators import object2detector

folder = Path(sys.argv[1])
scene = np.load(folder / "scene.npz")
np.random.seed(0)  # noqa: NPY002 - what PtyLab draws from
data, found, params, monitor, _ = PtyLab.easyInitialize(
    folder / "scan.hdf5", engine=PtyLab.Engines.ePIE, dummyMonitor=True
)
found.npsm, found.nslice, found.refrIndex = len(scene["probe"]), len(scene["obj"]), 1.5
found.dz = float(scene["spacing"][0]) * found.refrIndex
found.initializeObjectProbe()
found.probe[0, 0, :, 0] = scene["probe"]
engine = e3PIE(found, data, params, monitor)
engine.numIterations = 4
engine.reconstruct()
found.saveResults(str(folder / "result.hdf5"), type="all")

counts, made = np.array(data.ptychogram), []
n = counts.shape[-1]
for row, column in found.positions:
    wave = found.probe[:, :, :, :1]
    for k in range(found.nslice):
        wave = wave if k == 0 else np.fft.ifft2(np.fft.fft2(wave) * found.H)
        wave = wave * found.object[:, :, :, k : k + 1, row : row + n, column : column + n]
    found.esw = wave
    fields = object2detector(found.esw, params, found)
    made.append((np.abs(fields[-1] if isinstance(fields, tuple) else fields) ** 2).sum(axis=(0, 1, 2, 3)))
np.savez(folder / "told.npz", misfit=((np.sqrt(counts) - np.sqrt(np.array(made))) ** 2).sum() / counts.sum())
