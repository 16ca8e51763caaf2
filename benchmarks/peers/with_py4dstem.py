"""py4DSTEM: reads opty's data cube, finds its rotation and runs on it, and writes a data cube with its calibration."""

import os
import sys
import warnings
from pathlib import Path

os.environ["MPLBACKEND"] = "Agg"

import numpy as np
import py4DSTEM
from py4DSTEM.process.phase import SingleslicePtychography
from py4DSTEM.process.utils import electron_wavelength_angstrom

warnings.simplefilter("ignore")
task, folder = sys.argv[1], Path(sys.argv[2])
truth = np.load(folder / "truth.npz")
n, energy, rotation = truth["probe"].shape[-1], float(truth["voltage"]), float(truth["rotation"])
BORDER = 24  # pixels of the object around the middles of the windows


def phase(cube, rotation, probe):
    """py4DSTEM's ptychography of a cube, with the scan turned by an angle [degrees], None to find it; no iterations."""
    middle = np.full(cube.data.shape[:2], n // 2, np.float32)
    whole = SingleslicePtychography(
        datacube=cube,
        energy=energy,
        initial_probe_guess=np.fft.ifftshift(probe).astype(np.complex64) / n,  # its transform is not unitary
        object_padding_px=((BORDER, BORDER), (BORDER, BORDER)),
        verbose=False,
    )
    centred = {} if rotation is None else {"force_com_measured": (middle, middle)}
    return whole.preprocess(
        plot_center_of_mass=False,
        plot_rotation=False,
        plot_probe_overlaps=False,
        center_positions_in_fov=False,
        force_com_rotation=rotation,
        force_com_transpose=False,
        **centred,
    )


def prediction(whole):
    """Counts (N, n, n) of its operators for the true object, laid where its first window is."""
    places = whole._positions_px
    corner = np.rint(places[0]).astype(int) - n // 2 - truth["corners"][0]
    obj = np.ones(whole._object_shape, np.complex64)
    into, out = (tuple(slice(max(sign * k, 0), None) for k in corner) for sign in (1, -1))
    part, view = truth["obj"][out], obj[into]
    rows, columns = (min(sizes) for sizes in zip(view.shape, part.shape, strict=True))
    view[:rows, :columns] = part[:rows, :columns]
    patches = whole._extract_vectorized_patch_indices(places)
    probes = whole._return_shifted_probes(whole._probe, places - np.round(places))
    _, _, waves = whole._overlap_projection(obj, *patches, probes)
    amplitudes = whole._return_farfield_amplitudes(np.fft.fft2(waves))
    return np.fft.fftshift(amplitudes**2, axes=(-2, -1))


def places_of(whole):
    """Positions (N, 2) [m] as py4DSTEM understands the scan."""
    return whole._positions_px * np.array(whole.sampling) * 1e-10


def read():
    cube = py4DSTEM.read(str(folder / "scan.h5"))
    turn = cube.calibration.get_QR_rotation_degrees()
    found = phase(py4DSTEM.read(str(folder / "scan.h5")), None, truth["probe"][0])
    whole = phase(cube, turn, truth["probe"][0])
    predicted, positions = prediction(whole), places_of(whole)
    ran = whole.reconstruct(num_iter=30, max_batch_size=20, seed_random=0, tv_denoise=False, progress_bar=False)
    errors = ran.error_iterations
    np.savez(
        folder / "found.npz",
        counts=cube.data.reshape(-1, n, n),
        positions=positions,
        lengths=[electron_wavelength_angstrom(energy) * 1e-10, 1.0, whole.angular_sampling[0] * 1e-3],
        predicted=predicted,
        before=errors[0],
        after=errors[-1],
        turn=np.rad2deg(found._rotation_best_rad),
        written_turn=turn,
    )


def write():
    rows = round(len(truth["counts"]) ** 0.5)
    cube = py4DSTEM.DataCube(data=truth["counts"].reshape(rows, rows, n, n))
    step = np.linalg.norm(truth["positions"][1] - truth["positions"][0])
    cube.calibration.set_R_pixel_size(step * 1e10)
    cube.calibration.set_R_pixel_units("A")
    cube.calibration.set_Q_pixel_size(float(truth["lengths"][2] / truth["lengths"][0]) * 1e-10)  # at a distance of 1 m
    cube.calibration.set_Q_pixel_units("A^-1")
    cube.calibration.set_QR_rotation_degrees(rotation)
    py4DSTEM.save(str(folder / "theirs.h5"), cube, mode="o")
    whole = phase(cube, rotation, truth["probe"][0])
    np.savez(folder / "told.npz", counts=truth["counts"], positions=places_of(whole), lengths=truth["lengths"])


{"read": read, "write": write}[task]()
