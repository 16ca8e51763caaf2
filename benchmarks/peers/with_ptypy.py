"""PtyPy: reads opty's .ptyd and .ptyr, writes a .ptyd and the result of a run of its own."""

import sys
from pathlib import Path

import numpy as np
import ptypy.utils as u
from ptypy.core import Ptycho

task, folder = sys.argv[1], Path(sys.argv[2])
truth = np.load(folder / "truth.npz")


def run(source, iterations=0, save_to=None):
    """PtyPy on a .ptyd: level 2 (loaded), or as far as the end of an engine."""
    p = u.Param(verbose_level=1, run="interop")
    p.io = u.Param(autosave=u.Param(active=False), interaction=u.Param(active=False), autoplot=u.Param(active=False))
    p.io.home = str(folder)
    scan = u.Param(name="Full", data=u.Param(name="PtydScan", source="file", dfile=str(source)))
    scan.illumination = u.Param(model=truth["probe"].astype(np.complex64), photons=None)
    scan.illumination.aperture = None
    scan.sample = u.Param(model=None)
    if save_to is not None:
        scan.data = u.Param(name="PtydScan", source=str(source), dfile=str(save_to), save="append")
    p.scans = u.Param(S00=scan)
    if not iterations:
        return Ptycho(p, level=2)
    p.engines = u.Param(e=u.Param(name="DM", numiter=iterations, probe_support=None, numiter_contiguous=5))
    return Ptycho(p, level=5)


def pods_of(whole):
    """Pods in the order of the views."""
    return [whole.pods[name] for name in sorted(whole.pods) if whole.pods[name].active]


def prediction(whole, obj=None, probe=None):
    """Counts of PtyPy's forward model, of the run's own object and probe or of those in other storages."""
    out = []
    for pod in pods_of(whole):
        wave = pod.probe if probe is None else probe.data[0]
        if obj is None:
            window = pod.object
        else:
            n = pod.ob_view.shape[0]
            row, column = np.round(obj._to_pix(pod.ob_view.coord)).astype(int) - n // 2  # as Storage.update_views does
            window = obj.data[0, row : row + n, column : column + n]
        out.append(np.abs(pod.fw(wave * window)) ** 2)
    return np.array(out)


def misfit(predicted, counts):
    return float(((np.sqrt(counts) - np.sqrt(predicted)) ** 2).sum() / counts.sum())


def found_in(whole):
    """Counts, positions [m] and lengths, as PtyPy holds them after loading."""
    pods = pods_of(whole)
    geometry = pods[0].geometry
    return {
        "counts": np.array([pod.diff for pod in pods]),
        "positions": np.array([pod.ob_view.coord for pod in pods]),
        "lengths": [float(geometry.lam), float(geometry.distance), float(geometry.p.psize[0])],
    }


def read():
    whole = run(folder / "scan.ptyd")
    loaded = Ptycho.load_run(str(folder / "result.ptyr"), load_data=False)
    obj, probe = (next(iter(one.storages.values())) for one in (loaded.obj, loaded.probe))
    predicted = prediction(whole, obj, probe)
    ran = run(folder / "scan.ptyd", 30)
    errors = [float(one["error"][0]) for one in ran.runtime.iter_info]
    np.savez(folder / "found.npz", **found_in(whole), predicted=predicted, before=errors[0], after=errors[-1])


def write():
    """PtyPy prepares a .ptyd of opty's, runs on it, and saves the run."""
    whole = run(folder / "scan.ptyd", 30, folder / "theirs.ptyd")
    whole.save_run(str(folder / "theirs.ptyr"), "minimal")
    told = found_in(whole)
    np.savez(folder / "told.npz", **told, result_misfit=misfit(prediction(whole), told["counts"]))


{"read": read, "write": write}[task]()
