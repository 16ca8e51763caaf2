"""Listing 3 and Fig. S4 of Guzzi et al. 2022: a soft X-ray scan, its overview, and M-rPIE with positions refined.

Their data are not public. Here cells and a fibre are simulated with the distances and the energy of theirs, and a
detector with a gap and read-out noise. Line by line: amplitudes in, the overview of the scan (their composeAgainImage),
the detector mask of the mean pattern, three modes, positions by Adam, weights of the views by coverage (their canvas
mask).
"""

import time

import numpy as np
from paper import OUT, main_number, save, sized

import opty
from opty import Log, PosCorrectAdam, Show, rPIE
from opty.simulate import Detector, experiment, objects, probes, scans

# params: a detector of 1024 px of 20 um, rebinned
DIMSAMPLE, REBIN = sized(64, 128, 256), sized(2, 2, 4)
psize = 1024 * 20e-6 / DIMSAMPLE
fs, en, distance = 360e-6, 1020, 0.7515
wvl = (6.62606957e-34 * 299792458.0) / (en * 1.602176565e-19)
geometry = opty.Geometry(wvl, distance - fs, psize, focus_to_sample=fs, propagation="cone")
pixel_size_object = geometry.sample_pixel(DIMSAMPLE)

# data: amplitudes and positions in metres, as their files hold them
WIDE = REBIN * DIMSAMPLE  # of the detector and, at the same pixel, of the windows of the simulation [px]
wave = probes.spherical_wave(WIDE, wvl, pixel_size_object, fs, DIMSAMPLE / 2.2 * pixel_size_object)
step = scans.step_for_overlap(0.8, DIMSAMPLE / 2.2)
SIDE = sized(5, 6, 6)  # they do not say how many views theirs has
size = WIDE + int((SIDE + 1) * step)
cells = objects.with_contrast(objects.cells((size, size), diameter=DIMSAMPLE / 2), (0.6, 1), (-1.2, 0.2))
rows, cols = np.indices(cells.shape)
cells[abs(rows - cols - DIMSAMPLE / 6) < DIMSAMPLE / 24] *= 0.6 * np.exp(-0.8j)  # the fibre
grid = scans.raster((SIDE, SIDE), step, step / 5)
scan = experiment(
    cells,
    probes.modes(wave, (6, 2, 1)),
    grid,
    photons=1e7,
    geometry=opty.Geometry(wvl, distance - fs, psize / REBIN, focus_to_sample=fs, propagation="cone"),
    position_error=1.5,
    detector=Detector(dtype="float32", read_noise=1.0 / REBIN, gaps=(("row", WIDE // 8, 2 * REBIN),)),
    seed=1,
)
fine = (DIMSAMPLE, REBIN, DIMSAMPLE, REBIN)
amplitudes = np.sqrt(np.maximum(scan.intensities.reshape(-1, *fine).sum(axis=(2, 4)), 0))
mask, positions = scan.mask.reshape(fine).all(axis=(1, 3)), scan.positions
margin = (WIDE - DIMSAMPLE) // 2  # windows are the middle of those of the simulation
middle = scan.truth["probe"][:, margin : margin + DIMSAMPLE, margin : margin + DIMSAMPLE]
truth = scan.truth | {"positions": scan.truth["positions"] + margin, "probe": middle}

# load data and positions: data ** 0.5 there, amplitudes ** 2 here
data = opty.PtychoData(amplitudes**2, positions, geometry, mask=mask, truth=truth)

# init full obj: canvas, c, s = composeAgainImage(data, pixpos, weightFun=white); mask = white > 0.5 max
begun = time.process_time()
found = opty.analysis.scan_overview(data)
print(f"overview of {data.views} views: {time.process_time() - begun:.2f} s; beam of {found.beam.sum()} pixels")

# probe init: three modes. Theirs are copies of the wave with a noise of 1e-3, which part slowly; opty's are the wave
# times 1, row, column
wave = probes.spherical_wave(DIMSAMPLE, wvl, pixel_size_object, fs, DIMSAMPLE / 2.2 * pixel_size_object)
p = opty.ScaleObjProbe() * opty.PtychoState(data.replace(probe=wave), modes=3)

# optimize: updateRpieMulti(upobj=.5, upill=.5, uppos=True, beta=.5) with posupalpha; their 10 px shake such a scan
every = sized(10, 20, 100)
live = Show(every=every, path=str(OUT / "listing_3_{iteration}.png")) * Log(every=every)
# their code has alpha = 0.04, which fits noise at full size, and the misfit rises: here it is opty's 0.2
recipe = live * PosCorrectAdam(step=0.1, weights="coverage") * rPIE(obj_step=0.5, probe_step=0.5, beta=0.5)
q = recipe ** sized(10, 100, 1000) * p

before, after = opty.analysis.errors(p), opty.analysis.errors(q)
print(f"positions wrong by {before['position']:.3f} px, after {after['position']:.3f}; object by {after['object']:.3f}")
np.savez(OUT / "out_obj.npz", obj=q.obj, ill=q.probe)
save(opty.plot.scan(found), "listing_3_overview")
save(opty.plot.overview(q), "listing_3")
gain = opty.analysis.resolution_gain(q)
print(f"G_p = d / delta_s = {gain:.1f} (Eq. 2; theirs 9 um / 50 nm = 180)")
main_number("object error", after["object"], below=sized(0.5, 0.15, 0.15))
main_number("positions, of what they were wrong by", after["position"] / before["position"], below=sized(3, 0.5, 0.5))
