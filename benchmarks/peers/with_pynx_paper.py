"""PyNX for Guzzi et al. 2022: Listing 2 word by word, results with a phase ramp, and update_pos.

Tasks: listing_2 FOLDER STEM AP DM ML; ramp FOLDER; positions FOLDER ENGINE CYCLES.
"""

import os
import sys
from pathlib import Path

os.environ["PYNX_PU"] = "opencl" if sys.argv[1] == "positions" else "cpu"

import numpy as np
from pynx.ptycho import Ptycho, PtychoData, cpu_operator, shape

task, folder = sys.argv[1], Path(sys.argv[2])
NOISES = ("poisson", "gaussian", "euclidian")


def likelihoods(p):
    """LLK of object and probe as they are, by the definitions of PyNX's operators for the CPU."""
    p.from_pu()
    p = cpu_operator.LLK() * cpu_operator.Propagate() * cpu_operator.ObjProbe2Psi() * p
    return [float(p.get_llk(noise)) for noise in NOISES]


def state(p):
    """Object, modes, and positions (row, column) [m] from the middle of the object."""
    where = np.stack([np.asarray(p.data.posy, float), np.asarray(p.data.posx, float)], axis=1)
    return dict(obj=p.get_obj()[0].copy(), probe=p.get_probe().copy(), where=where)


def sphericalWave(size, wvl, pixel, distance, aperture):
    """A diverging spherical wave, SciComPty's for Listing 2: a disc of this diameter [m] behind the focus."""
    r = (np.arange(size) - size // 2) * pixel
    r2 = r[:, None] ** 2 + r**2
    path = np.sqrt(r2 + distance**2) - abs(distance)
    return np.exp(2j * np.pi / wvl * path) * (r2 <= (aperture / 2) ** 2)


def listing_2():
    """Line by line; the lines that are commented out there too, from the result of the one that is not."""
    import tifffile as tf
    from pynx.ptycho.cpu_operator import AP, DM, ML, ScaleObjProbe

    stem, cycles = sys.argv[3], [int(v) for v in sys.argv[4:7]]
    lengths = np.load(folder / "lengths.npz")
    random = np.random.default_rng(0)  # theirs is not seeded

    # load data and positions
    diffdata = tf.imread(folder / f"{stem}.tif") * 1.0
    diffdata[diffdata < 0] = 0
    positions = np.load(folder / f"{stem}.npy")

    # reconstruction params
    wvl, fd, fs, psize = (float(lengths[name]) for name in ("wvl", "fd", "fs", "psize"))

    # prepare the reconstruction
    distance = fd - fs
    pixel_size_object = wvl * (distance) / (diffdata.shape[-1] * psize)
    print(f"Obj plane res: {pixel_size_object * 1e9:.2f} nm")

    x, y = positions[:, 0], positions[:, 1]
    x -= x.min()
    y -= y.min()
    data = PtychoData(
        iobs=diffdata / diffdata.max(),
        positions=(x, y),
        detector_distance=distance,
        mask=None,
        pixel_size_detector=psize,
        wavelength=wvl,
        near_field=False,
    )

    # probe init
    nprobes = 7
    aperture = diffdata.shape[-1] * pixel_size_object / 3
    probeinit = sphericalWave(diffdata.shape[-1], wvl, pixel_size_object, -fs, aperture)
    probeinit = np.expand_dims(probeinit, 0)
    if nprobes > 1:
        probeinit = probeinit + 1e-3 * random.normal(size=(nprobes, *probeinit.shape[-2:]))
        probeinit = probeinit * np.linspace(0.1, 1, nprobes)[::-1].reshape(nprobes, 1, 1)

    # calculate final obj size
    nx0, ny0 = shape.calc_obj_shape(
        x / pixel_size_object, y / pixel_size_object, (diffdata.shape[-2], diffdata.shape[-1])
    )
    # obj init
    obj0 = 0.1 * np.exp(1j * random.uniform(0, 0.5, (nx0, ny0)))

    # main ptycho obj instance
    p = Ptycho(probe=probeinit, obj=obj0, data=data, background=None)

    # initial scaling
    p = ScaleObjProbe() * p
    first, found = state(p), {}
    found |= {f"start_{k}": v for k, v in first.items()} | {"start_llk": likelihoods(p)}

    # optimize
    known = dict(update_object=True, update_probe=True, calc_llk=10, show_obj_probe=0)
    p = AP(**known) ** cycles[0] * p
    found |= {f"AP_{k}": v for k, v in state(p).items()} | {"AP_llk": likelihoods(p), "AP_curve": curve(p)}
    for name, operator, count in (("DM", DM, cycles[1]), ("ML", ML, cycles[2])):
        if count:
            q = Ptycho(probe=found["AP_probe"].copy(), obj=found["AP_obj"].copy(), data=data, background=None)
            q = operator(**known) ** count * q
            found |= {f"{name}_{k}": v for k, v in state(q).items()}
            found |= {f"{name}_llk": likelihoods(q), f"{name}_curve": curve(q)}
    np.savez(folder / "found.npz", pixel=pixel_size_object, **found)


def curve(p):
    """The LLK that the run recorded: cycles, and Poisson's."""
    found = p.history["llk_poisson"]
    return np.array([[cycle, float(value)] for cycle, value in found.items()])


def ramp():
    """AP, and from there DM and ML, on patterns that lie off the middle of the detector: the object takes the ramp."""
    from pynx.ptycho.cpu_operator import AP, DM, ML, ScaleObjProbe

    given = np.load(folder / "given.npz")
    wavelength, distance, pixel = (float(v) for v in given["lengths"])
    y, x = given["positions"].T
    data = PtychoData(given["counts"].astype(np.float32), (x, y), distance, None, pixel, wavelength)
    p = ScaleObjProbe() * Ptycho(probe=given["probe"], obj=None, data=data)
    known = dict(update_object=True, update_probe=True)  # each run ends with the probe's spectrum in the middle
    runs = {"AP": AP(**known) ** int(given["turns"])}
    runs |= {"DM": AP(**known) ** 5 * DM(**known) ** int(given["turns"]) * AP(**known) ** 5}
    runs |= {"ML": ML(**known) ** int(given["turns"]) * AP(**known) ** 5}
    first, told = p.get_probe().copy(), {}
    for name, run in runs.items():
        q = run * Ptycho(probe=first, obj=p.get_obj().copy(), data=data)
        q.save_obj_probe_cxi(str(folder / f"{name}.cxi"))
        told[name] = likelihoods(q)
    np.savez(folder / "found.npz", **told)


def positions():
    """An engine with update_pos=5, its cycles in tens: positions, and the LLK, at each ten."""
    import pyopencl
    from pynx.processing_unit import default_processing_unit
    from pynx.ptycho import AP, DM, ML, ScaleObjProbe

    device = pyopencl.get_platforms()[0].get_devices()[0]  # PyNX itself passes over a CPU: pocl
    default_processing_unit.set_device(device, test_fft=False, verbose=False)
    engine, cycles = {"AP": AP, "DM": DM, "ML": ML}[sys.argv[3]], int(sys.argv[4])
    given = np.load(folder / "given.npz")
    wavelength, distance, pixel = (float(v) for v in given["lengths"])
    y, x = given["positions"].T
    counts = given["counts"].astype(np.float32)
    data = PtychoData(counts, (x, y), distance, None, pixel, wavelength, near_field=bool(given["near"]))
    n = counts.shape[-1]
    size = shape.calc_obj_shape((x - x.mean()) / given["pixel"], (y - y.mean()) / given["pixel"], (n, n), margin=64)
    p = Ptycho(probe=given["probe"], obj=np.ones(size), data=data)
    p = ScaleObjProbe() * p
    known = dict(update_object=True, update_probe=True, update_pos=int(given["update_pos"]))
    llk, places = [likelihoods(p)], [state(p)["where"]]
    for _ in range(cycles // 10):
        p = engine(**known) ** 10 * p
        llk.append(likelihoods(p))
        places.append(state(p)["where"])
    np.savez(folder / "found.npz", llk=llk, places=places, **state(p))


{"listing_2": listing_2, "ramp": ramp, "positions": positions}[task]()
