"""PtyPy on slices: its ThreePIE, one view at a time; see thick.py.

Settings: ``alpha`` and ``beta``, the steps of object and probe; ``whole`` : whether the object's step is divided by the
largest light on the object, as in its template.
"""

import numpy as np
import ptypy.utils as u
from ptypy.core import Ptycho
from ptypy.custom import threepie  # noqa: F401 - registers the engine
from ptypy.engines import by_name
from thick import folder, follow, scene, settings

np.random.seed(0)  # noqa: NPY002 (PtyPy draws from this generator)
start = scene["start"]
p = u.Param(verbose_level=0, run="thick", data_type="single")
p.io = u.Param(autosave=u.Param(active=False), interaction=u.Param(active=False), autoplot=u.Param(active=False))
p.io.home = str(folder)
scan = u.Param(name="Full", data=u.Param(name="PtydScan", source="file", dfile=str(folder / "scan.ptyd")))
scan.illumination = u.Param(model=scene["probe"].astype(np.complex64), photons=None, aperture=None)
scan.sample = u.Param(model=None)
p.scans = u.Param(S00=scan)
engine = u.Param(name="ThreePIE", numiter=1, number_of_slices=len(start), slice_thickness=float(scene["spacing"]))
engine.update(alpha=settings["alpha"], beta=settings["beta"], object_norm_is_global=settings["whole"])
engine.update(probe_center_tol=None, compute_log_likelihood=False, fslices=str(folder / "slices.h5"))
p.engines = u.Param(e=engine)
whole = Ptycho(p, level=4)
whole.runtime.iter_info = []
(illumination,) = whole.probe.storages.values()
illumination.data[...] = scene["probe"]  # as it is: PtyPy scales what it is given
found = by_name("ThreePIE")(whole, engine)
found.initialize()
found.prepare()

(storage,) = whole.obj.storages.values()
pods = [whole.pods[name] for name in sorted(whole.pods) if whole.pods[name].active]
n = pods[0].ob_view.shape[0]
there = np.array([np.round(storage._to_pix(pod.ob_view.coord)).astype(int) - n // 2 for pod in pods])
(offset,) = {tuple(row) for row in (np.rint(scene["corners"]).astype(int) - there).tolist()}


def put(k, image):
    """Put a slice (H, W) of the scan into PtyPy's frame, where they overlap."""
    (one,) = found._object[k].storages.values()
    ours, theirs = _overlap(image.shape, one.data.shape[1:])
    one.data[0][theirs] = image[ours]


def slices():
    out = start.astype(np.complex64)
    for k in range(len(out)):
        (one,) = found._object[k].storages.values()
        ours, theirs = _overlap(out.shape[1:], one.data.shape[1:])
        out[k][ours] = one.data[0][theirs]
    return out


def _overlap(ours, theirs):
    first = [max(0, move) for move in offset]
    last = [min(size, other + move) for size, other, move in zip(ours, theirs, offset, strict=True)]
    of_ours = tuple(slice(a, b) for a, b in zip(first, last, strict=True))
    of_theirs = tuple(slice(a - move, b - move) for a, b, move in zip(first, last, offset, strict=True))
    return of_ours, of_theirs


for number, image in enumerate(start):
    put(number, image)
if settings.get("truth"):
    made, counts = [], []
    for pod in pods:
        wave = pod.probe
        for number in range(len(start)):
            wave = wave * found._object[number][pod.ob_view]
            wave = found.fw[number](wave) if number < len(start) - 1 else wave
        made.append(np.abs(pod.fw(wave)) ** 2)
        counts.append(pod.diff)
    made, counts = np.array(made), np.array(counts)
    np.savez(folder / "told.npz", misfit=((np.sqrt(made) - np.sqrt(counts)) ** 2).sum() / counts.sum())
else:
    follow(lambda count: found.engine_iterate(count), slices)
