"""PyNX: reads opty's CXI by the loader of its own script, writes a CXI, and the result of a run of its own."""

import os
import sys
from pathlib import Path

os.environ["PYNX_PU"] = "cpu"

import numpy as np
from pynx.ptycho import Ptycho, PtychoData, save_ptycho_data_cxi
from pynx.ptycho.cpu_operator import AP, DM, FT, ObjProbe2Psi
from pynx.ptycho.runner.cxi import PtychoRunnerScanCXI, default_params
from pynx.ptycho.shape import get_view_coord

task, folder = sys.argv[1], Path(sys.argv[2])
truth = np.load(folder / "truth.npz")
wavelength, distance, pixel = truth["lengths"]
n = truth["probe"].shape[-1]


def curvature():
    """What PyNX multiplies a wave in the plane of the sample by: exp(i pi r^2 / (lambda z))."""
    r = (np.arange(n) - n // 2) * wavelength * distance / (n * pixel)
    return np.exp(1j * np.pi / (wavelength * distance) * (r[:, None] ** 2 + r**2))


def of_the_truth(data):
    """A Ptycho with the true object where PyNX looks for it at its first position, and the probe as PyNX defines it."""
    ny, nx = data.get_required_obj_shape(margin=30)
    px, py = data.pixel_size_object()
    column, row = get_view_coord((ny, nx), (n, n), data.posx[0] / px, data.posy[0] / py)
    obj = np.ones((ny, nx), np.complex64)
    shift = np.array([row, column]) - truth["corners"][0]
    into, out = (tuple(slice(max(sign * k, 0), None) for k in shift) for sign in (1, -1))
    part, view = truth["obj"][out], obj[into]
    rows, columns = (min(sizes) for sizes in zip(view.shape, part.shape, strict=True))
    view[:rows, :columns] = part[:rows, :columns]
    return Ptycho(probe=truth["probe"] * curvature().conj(), obj=obj, data=data, background=None)


def prediction(p):
    """Counts (N, n, n) of PyNX's operators, the zero frequency in the middle."""
    p = FT(scale=True) * ObjProbe2Psi() * p
    return np.fft.fftshift((np.abs(p._psi) ** 2).sum(axis=(0, 1)), axes=(-2, -1))


def misfit(predicted, counts):
    return float(((np.sqrt(counts) - np.sqrt(predicted)) ** 2).sum() / counts.sum())


def read():
    params = default_params | {"cxifile": str(folder / "scan.cxi")}
    scan = PtychoRunnerScanCXI(params, 0)
    scan.load_scan()
    scan.load_data()
    energy = 12.3984 / scan.params["nrj"] * 1e-10  # keV to the wavelength, with the digits that PyNX has
    lengths = [float(energy), float(scan.params["detectordistance"]), float(scan.params["pixelsize"])]
    counts = np.asarray(scan.raw_data)
    x, y = np.asarray(scan.x, float), np.asarray(scan.y, float)
    data = PtychoData(counts.astype(np.float32), (x, y), distance, None, pixel, wavelength)
    p = of_the_truth(data)
    predicted = prediction(p)
    start = Ptycho(probe=truth["probe"] * curvature().conj(), obj=None, data=data)
    before = misfit(prediction(start), counts)
    after = misfit(prediction(AP(update_object=True, update_probe=True) ** 30 * start), counts)
    np.savez(
        folder / "found.npz",
        counts=counts,
        positions=np.stack([y, x], axis=1),
        lengths=lengths,
        predicted=predicted,
        before=before,
        after=after,
    )


def write():
    """PyNX saves a measurement, runs on it, and saves object and probe."""
    y, x = truth["positions"].T
    save_ptycho_data_cxi(
        str(folder / "theirs.cxi"),
        truth["counts"],
        pixel,
        wavelength,
        distance,
        x,
        y,
        instrument="interop",
        overwrite=True,
    )
    counts = truth["counts"].astype(np.float32)
    data = PtychoData(counts, (x, y), distance, None, pixel, wavelength)
    p = Ptycho(probe=truth["probe"] * curvature().conj(), obj=None, data=data)
    p = AP(update_object=True, update_probe=True) ** 30 * DM(update_object=True, update_probe=True) ** 20 * p
    p.save_obj_probe_cxi(str(folder / "theirs-result.cxi"))
    np.savez(
        folder / "told.npz",
        counts=truth["counts"],
        positions=truth["positions"],
        lengths=truth["lengths"],
        result_misfit=misfit(prediction(p), truth["counts"]),
    )


{"read": read, "write": write}[task]()
