"""Ptychodus: a product, saved by it, of what pty-chi found at positions that are pixels of the object."""

import sys
from pathlib import Path

import numpy as np
from ptychodus.api import io
from ptychodus.api.object import Object, ObjectCenter, ObjectPosition
from ptychodus.api.probe import ProbeSequence

folder = Path(sys.argv[1])
scene, found = np.load(folder / "scene.npz"), np.load(folder / "found.npz")
pixel = io.PixelGeometry(width_m=float(scene["pixel"]), height_m=float(scene["pixel"]))
obj = Object(
    array=found["obj"],
    layer_spacing_m=scene["spacing"].tolist(),
    pixel_geometry=pixel,
    center=ObjectCenter(x_m=3e-7, y_m=-2e-7),
)
where = obj.get_geometry().map_coordinates_object_to_probe
places = [where(ObjectPosition(index=k, x_px=float(x), y_px=float(y))) for k, (y, x) in enumerate(found["places"])]
metadata = io.ProductMetadata(
    name="scene",
    comments="",
    detector_distance_m=0.032,
    photon_energy_eV=1.239842e-6 / float(scene["wavelength"]),
    probe_photon_count=float(scene["counts"].sum(axis=(1, 2)).mean()),
    exposure_time_s=1.0,
    mass_attenuation_m2_per_kg=0.0,
    tomography_angle_deg=0.0,
    focus_object_distance_m=0.0,
    tilt_angle_deg=0.0,
    polarization=None,
    far_field=True,
)
product = io.Product(
    metadata=metadata,
    probe_positions=io.ProbePositionSequence(places),
    probes=ProbeSequence(array=found["probe"], opr_weights=found["weights"], pixel_geometry=pixel),
    object_=obj,
    losses=[],
)
io.save_product(folder / "product.h5", product)
