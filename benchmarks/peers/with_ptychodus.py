"""Ptychodus, the application around pty-chi: reads and writes the file of positions, probe and object."""

import sys
from pathlib import Path

import h5py
import numpy as np
from ptychodus.api.geometry import PixelGeometry
from ptychodus.api.io import load_product, save_product
from ptychodus.api.object import Object, ObjectCenter
from ptychodus.api.probe import ProbeSequence
from ptychodus.api.probe_positions import ProbePosition, ProbePositionSequence
from ptychodus.api.product import Product, ProductMetadata

task, folder = sys.argv[1], Path(sys.argv[2])
truth = np.load(folder / "truth.npz")
PLANCK_TIMES_C = 1.23984198e-6  # eV m


def read():
    product = load_product(folder / "scan_para.hdf5")
    with h5py.File(folder / "scan_dp.hdf5") as f:
        counts = f["dp"][()]
    positions = np.array([[point.y_m, point.x_m] for point in product.probe_positions])
    centre = product.object_.get_center()
    metadata, pixel = product.metadata, product.object_.get_pixel_geometry()
    wavelength = PLANCK_TIMES_C / metadata.photon_energy_eV
    lengths = [wavelength, metadata.detector_distance_m]
    lengths.append(wavelength * metadata.detector_distance_m / (counts.shape[-1] * pixel.height_m))
    middle = (positions.min(axis=0) + positions.max(axis=0)) / 2
    off = np.abs(middle - [centre.y_m, centre.x_m]).max() / pixel.height_m
    if off > 1:
        raise SystemExit(f"the object's centre is {off:.3g} px from the middle of the positions")
    np.savez(folder / "found.npz", counts=counts, positions=positions, lengths=lengths)


def write():
    pixel, (wavelength, distance, _) = float(truth["pixel"]), truth["lengths"]
    square = PixelGeometry(width_m=pixel, height_m=pixel)
    metadata = ProductMetadata(
        name="scan",
        comments="",
        detector_distance_m=distance,
        photon_energy_eV=PLANCK_TIMES_C / wavelength,
        probe_photon_count=float((np.abs(truth["probe"]) ** 2).sum()),
        exposure_time_s=1.0,
        mass_attenuation_m2_per_kg=0.0,
        tomography_angle_deg=0.0,
    )
    middle = (truth["positions"].min(axis=0) + truth["positions"].max(axis=0)) / 2
    points = [ProbePosition(k, x, y) for k, (y, x) in enumerate(truth["positions"])]
    product = Product(
        metadata=metadata,
        probe_positions=ProbePositionSequence(points),
        probes=ProbeSequence(array=truth["probe"][None].astype(np.complex64), opr_weights=None, pixel_geometry=square),
        object_=Object(
            array=truth["obj"][None].astype(np.complex64),
            pixel_geometry=square,
            center=ObjectCenter(x_m=middle[1], y_m=middle[0]),
            layer_spacing_m=[],
        ),
        losses=[],
    )
    save_product(folder / "theirs_para.hdf5", product)
    with h5py.File(folder / "theirs_dp.hdf5", "w") as f:
        f["dp"] = truth["counts"]
    np.savez(folder / "told.npz", counts=truth["counts"], positions=truth["positions"], lengths=truth["lengths"])


{"read": read, "write": write}[task]()
