"""Listing 1 of Guzzi et al. 2022 (PeerJ CS 8, e1036, supplement): the same experiment with opty, TIFF and NPY out."""

from math import floor

from paper import OUT, main_number, sized

from opty import Geometry
from opty.simulate import Experiment, objects, probes, scans, write

# virtual experiment params
OVERLAP = 0.85  # overlap factor
DIMSAMPLE = sized(64, 256, 1024)  # detector size
wavelength = 4.892e-10  # wavelength [m]
fd = 0.8932  # focus-detector distance [m]
fs = 2.5e-3  # focus-sample distance [m]
ps = 13.5e-6 * 1024 / DIMSAMPLE  # pixel size [m]

# define pixel size at the sample plane and setup raster grid
geometry = Geometry(wavelength, fd - fs, ps, focus_to_sample=fs, propagation="cone")
deltal = geometry.sample_pixel(DIMSAMPLE)
maxtrasl = DIMSAMPLE - floor(OVERLAP * DIMSAMPLE)
jitter = maxtrasl / 8

# load obj imgs and compose cplx object: names of scikit-image, or files of your own such as imgs/diatoms_4000.tif
cplxObj = objects.two_images((sized(128, 625, 2500),) * 2, ("microaneurysms", "moon"))

# create cplx probe P x DIMSAMPLE x DIMSAMPLE, partially coherent
wave = probes.spherical_wave(DIMSAMPLE, wavelength, deltal, fs, DIMSAMPLE * deltal / 3)
cplxProbe = probes.zernike(wave, terms=(1, 2, 3), powers=(4, 2, 1))

# simulate, and save virtual experiment output as it is made: counts, and positions in metres
pos = scans.raster(scans.grid(cplxObj.shape, DIMSAMPLE, maxtrasl, jitter), maxtrasl, jitter)
scan = Experiment(cplxObj, cplxProbe, pos, photons=1e9, geometry=geometry)
print(f"{scan.views} views, sample pixel {deltal:.4g} m")
names = [str(OUT / f"diatom_synth_new.{kind}") for kind in ("tif", "cxi")]
print(*write(scan, *names, progress=True), sep="\n")

# Eq. 1: delta_s = wavelength z_do / (W delta_d)
eq1 = 4.892e-10 * (0.8932 - 2.5e-3) / (1024 * 13.5e-6)
main_number("sample pixel against Eq. 1, relative", abs(deltal / eq1 - 1), below=1e-12)
