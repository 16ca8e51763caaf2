"""PtyPy for Fig. S7 of Guzzi et al. 2022: its own simulation of a laser scan, as a .ptyd, and its DM on that.

Tasks: simulate FOLDER N VIEWS; dm FOLDER ITERATIONS START (a .npy, the probe) NAME.
"""

import sys
from importlib.resources import files
from pathlib import Path

import numpy as np
import ptypy.utils as u
from ptypy.core import Ptycho
from ptypy.simulations.simscan import SimScan

task, folder = sys.argv[1], Path(sys.argv[2])
LAMBDA, DISTANCE, DETECTOR = 6.32e-7, 15e-2, 256 * 24e-6  # of PtyPy's template ptypy_laser_logo_focused


class Told(SimScan):
    """PtyPy's simulation, which tells the object, the probe and the windows that it took."""

    def manipulate_ptycho(self, ptycho):
        obj, probe = (next(iter(one.storages.values())) for one in (ptycho.obj, ptycho.probe))
        views = [pod.ob_view for _, pod in sorted(ptycho.pods.items()) if pod.active]
        n = probe.data.shape[-1]
        corners = [np.round(obj._to_pix(view.coord)).astype(int) - n // 2 for view in views]  # as update_views does
        coords = [view.coord for view in views]
        np.savez(folder / "truth.npz", obj=obj.data[0], probe=probe.data, corners=corners, coords=coords)
        return ptycho


def simulate():
    """The template's scan with fewer pixels and views, and a detector that counts."""
    n, views = int(sys.argv[3]), int(sys.argv[4])
    sim = u.Param(energy=u.keV2m(1.0) / LAMBDA, distance=DISTANCE, psize=DETECTOR / n, shape=n)
    sim.xy = u.Param(model="round", spacing=0.15e-3, steps=60, extent=3e-3, count=views)
    propagation = u.Param(focussed=None, parallel=0.03, spot_size=None)
    aperture = u.Param(diffuser=None, form="circ", size=1.0e-3, edge=2, central_stop=None)
    sim.illumination = u.Param(model=None, photons=int(1e9), aperture=aperture, propagation=propagation)
    logo = u.imload(str(files("ptypy.resources") / "ptypy_logo_1M.png"))
    process = u.Param(offset=(0, 0), zoom=0.35, formula=None, density=None, thickness=None, ref_index=None)
    process.smoothing = None
    sim.sample = u.Param(model=-u.rgb2complex(logo[::-1, :, :-1]), process=process, fill=1.0 + 0.0j)
    sim.detector = u.Param(dtype=np.uint32, full_well=2**32 - 1, psf=None)
    sim.update(plot=False, dfile=str(folder / "laser.ptyd"), save="append", auto_center=False, label=None)
    np.random.seed(0)  # noqa: NPY002 (PtyPy's noise is of this generator)
    scan = Told(sim)
    scan.initialize()
    while not isinstance(scan.auto(100), str):
        pass


def dm():
    """DM of PtyPy from a given probe, as it defines one; the run as it saves it."""
    p = u.Param(verbose_level=1, run="paper", data_type="single")
    p.io = u.Param(autosave=u.Param(active=False), interaction=u.Param(active=False), autoplot=u.Param(active=False))
    p.io.home = str(folder)
    scan = u.Param(name="Full", data=u.Param(name="PtydScan", source="file", dfile=str(folder / "laser.ptyd")))
    scan.illumination = u.Param(model=np.load(folder / sys.argv[4]).astype(np.complex64), photons=None, aperture=None)
    scan.sample = u.Param(model=None)
    p.scans = u.Param(S00=scan)
    turns = int(sys.argv[3])
    engine = u.Param(name="DM", numiter=turns, fourier_relax_factor=0.05, probe_support=None)
    engine.probe_center_tol = None  # else PtyPy brings the probe to the middle as it goes
    p.engines = u.Param(e=engine)
    Ptycho(p, level=5).save_run(str(folder / sys.argv[5]), "minimal")


{"simulate": simulate, "dm": dm}[task]()
