"""Listing 2 of Guzzi et al. 2022, line by line in opty: ScaleObjProbe, AP, DM, ML on a TIFF with an NPY, seven modes.

Theirs is a script for PyNX, of the same algebra (benchmarks/paper_pynx.py runs it there). LSQML is opty's own addition.
Reduced: 64 px, seven modes as theirs, fewer turns.
"""

import numpy as np
import tifffile as tf
from paper import OUT, main_number, save, sized

import opty
from opty import AP, DM, LSQML, ML, PosCorrect, PtychoData, PtychoState, ScaleObjProbe, Show
from opty.plot.figure import new_figure
from opty.simulate import Experiment, objects, probes, scans, write

# reconstruction params
N = sized(64, 64, 1024)
wvl, fd, fs = 4.892e-10, 0.8932, 2.5e-3
psize = 13.5e-6 * 1024 / N
geometry = opty.Geometry(wvl, fd - fs, psize, focus_to_sample=fs, propagation="cone")
pixel_size_object = geometry.sample_pixel(N)
print(f"Obj plane res: {pixel_size_object * 1e9:.2f} nm")

# what Listing 1 writes
wave = probes.spherical_wave(N, wvl, pixel_size_object, fs, N * pixel_size_object / 3)
step = scans.step_for_overlap(0.75, N / 3)
size = N + int(9 * step)
obj = objects.two_images((size, size), ("camera", "gravel"), (0.3, 1), (-1.2, 1.2))
pos = scans.raster((8, 8), step, step / 6)
scan = Experiment(obj, probes.zernike(wave, (1, 2, 3), (4, 2, 1)), pos, photons=1e8, geometry=geometry)
write(scan, str(OUT / "listing_2.tif"), progress=False)

# load data and positions: PyNX takes (x, y) = (column, row), opty rows of (row, column)
diffdata = tf.imread(OUT / "listing_2.tif") * 1.0
diffdata[diffdata < 0] = 0
positions = np.load(OUT / "listing_2.npy")
data = PtychoData(diffdata, positions, geometry, truth=scan.truth)

# probe init: theirs are copies of the wave with a noise, which part slowly; opty's the wave times 1, row, column, ...
nprobes = 7
p = PtychoState(data.replace(probe=wave), modes=nprobes)
obj0 = 0.1 * np.exp(1j * np.random.default_rng(0).uniform(0, 0.5, p.obj.shape))
p = p.replace(obj=obj0.astype(np.complex64))

# initial scaling
p = ScaleObjProbe() * p

# optimize: calc_llk=10 is a line of LLK each 10 turns, show_obj_probe=10 Show(every=10), update_pos=True PosCorrect()
turns, every = sized(5, 30, 200), sized(2, 10, 10)
curves = {}


def optimize(name, engine, turns, p):
    """Some turns of an engine, and the LLK in three models of the noise every 10 of them, as PyNX prints it."""
    rows = curves[name] = []
    for done in [*range(every, turns, every), turns]:
        p = engine ** (done - (len(rows) and rows[-1][0])) * p
        told = opty.analysis.fit(p)
        pixels = data.views * N * N
        totals = told.poisson.total, 2 * told.gaussian.total, 2 * told.euclidean.total
        rows.append([done, *(total / pixels for total in totals)])
        print("{:18s} #{:3d} LLK= {:9.3f}(p) {:9.3f}(g) {:9.3f}(e)".format(name, *rows[-1]), flush=True)
    return p


show = Show(every=every, path=str(OUT / "listing_2_{iteration}.png"))
q = optimize("AP", show * AP(), turns, p)
found = {"AP": q}
for name, engine in (("DM", DM()), ("ML", ML()), ("LSQML", LSQML())):
    found[name] = optimize(name, engine, sized(5, 25, 400), q)
    found[f"{name}, positions"] = optimize(f"{name}, positions", PosCorrect() * engine, sized(5, 25, 400), q)
for name, state in found.items():
    error, moved = opty.analysis.errors(state)["object"], np.linalg.norm(state.positions - q.positions, axis=1).max()
    print(
        f"after {name:18s}: misfit {opty.misfit(state):.3e}, object error {error:.4f}, positions moved {moved:.4f} px"
    )
m = found["ML"]

# save output
tf.imwrite(OUT / "outobj.tif", np.stack([abs(m.obj), np.angle(m.obj)]))
save(opty.plot.overview(m), "listing_2")
fig = new_figure(13.0, 3.6)
left, middle, right = fig.subplots(1, 3, gridspec_kw={"width_ratios": (2, 1.3, 1)})
for name, rows in curves.items():
    style = "--" if "positions" in name else "-"
    begun = 0 if name == "AP" else turns
    left.semilogy([begun + row[0] for row in rows], [row[1] for row in rows], style, marker=".", label=name)
left.set_title("LLK a pixel, Poisson")
left.set_xlabel("turn")
left.legend(fontsize=7)
told = opty.analysis.fit(m).poisson
middle.plot(told.views, ".")
middle.set_title("after ML: of each view")
middle.set_xlabel("view")
right.imshow(np.log10(told.pixels), cmap="viridis")
right.set_title("log10 of each pixel")
save(fig, "listing_2_llk")
main_number("misfit after ML over that after AP", opty.misfit(m) / opty.misfit(q), below=1)
main_number("LLK after ML over that after AP", curves["ML"][-1][1] / curves["AP"][-1][1], below=1)
main_number(
    "object error after DM",
    opty.analysis.errors(AP() ** 5 * found["DM, positions"])["object"],
    below=sized(1, 0.35, 0.2),
)
