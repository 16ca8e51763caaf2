"""Listing 2 of Guzzi et al. 2022, line by line in opty: ScaleObjProbe, AP, DM, ML on a TIFF with an NPY, seven modes.

Theirs is a script for PyNX, of the same algebra. Reduced: 64 px, seven modes as theirs, fewer turns.
"""

import numpy as np
import tifffile as tf
from paper import OUT, main_number, save, sized

import opty
from opty import AP, DM, ML, Log, PosCorrect, PtychoData, PtychoState, ScaleObjProbe
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

# optimize: calc_llk=10 is Log(every=10), show_obj_probe=10 Show(every=10), update_pos=True PosCorrect()
turns = sized(5, 25, 200)
q = (Log(every=turns) * AP()) ** turns * p
print(f"after AP: misfit {opty.misfit(q):.3e}, object error {opty.analysis.errors(q)['object']:.4f}")
d = AP() ** 5 * (Log(every=turns) * PosCorrect() * DM()) ** turns * q
print(f"after DM: misfit {opty.misfit(d):.3e}, object error {opty.analysis.errors(d)['object']:.4f}")
m = (Log(every=turns) * ML()) ** (turns // 2) * q
print(f"after ML: misfit {opty.misfit(m):.3e}, object error {opty.analysis.errors(m)['object']:.4f}")

# save output
tf.imwrite(OUT / "outobj.tif", np.stack([abs(m.obj), np.angle(m.obj)]))
save(opty.plot.overview(m), "listing_2")
main_number("misfit after ML over that after AP", opty.misfit(m) / opty.misfit(q), below=1)
main_number("object error after DM", opty.analysis.errors(d)["object"], below=sized(1, 0.35, 0.2))
