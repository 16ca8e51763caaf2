"""pty-chi: three epochs of LSQML on slices and OPR modes, from the truth, saved by the names that PEAR uses.

For Ptychodus positions are pixels of the object, as it hands them over, and what was found goes into found.npz.
"""

import sys
from pathlib import Path

import h5py
import numpy as np
import torch
import torchvision_alone  # noqa: F401

# isort: split
import ptychi.api as api
from ptychi.api.task import PtychographyTask

folder, of_ptychodus = Path(sys.argv[1]), sys.argv[2] == "ptychodus"
scene = np.load(folder / "scene.npz")
counts, n = scene["counts"].astype(np.float32), scene["counts"].shape[-1]
probe = np.zeros((1 + len(scene["opr_modes"]), len(scene["probe"]), n, n), np.complex64)
probe[0], probe[1:, 0] = scene["probe"], scene["opr_modes"]
weights = np.column_stack([np.ones(len(counts)), scene["opr_weights"]]).astype(np.float32)
# PEAR comes with a pty-chi that counts from here; that of PyPI counts from a pixel before
origin = [0.0, 0.0] if of_ptychodus else [float(np.round(size / 2) + 0.5) for size in scene["obj"].shape[1:]]
nearest = np.rint(scene["corners"])
middle = 2 * np.rint(nearest / 2) + n // 2 if of_ptychodus else nearest + (n - 1) / 2  # of windows that it can have
places = middle + scene["corners"] - nearest - origin

options = api.LSQMLOptions()
options.data_options.free_space_propagation_distance_m = np.inf
options.data_options.wavelength_m = float(scene["wavelength"])
options.object_options.pixel_size_m = float(scene["pixel"])
options.object_options.slice_spacings_m = scene["spacing"].tolist()
options.object_options.determine_position_origin_coords_by = api.ObjectPosOriginCoordsMethods.SPECIFIED
options.object_options.position_origin_coords = origin
options.object_options.patch_interpolation_method = api.PatchInterpolationMethods.FOURIER
options.object_options.optimizable = options.probe_options.optimizable = True
options.probe_position_options.optimizable = False
options.opr_mode_weight_options.optimizable = True
options.opr_mode_weight_options.optimize_eigenmode_weights = True
options.opr_mode_weight_options.optimize_intensity_variation = True
options.reconstructor_options.batch_size = 5
options.reconstructor_options.num_epochs = 3
options.reconstructor_options.default_device = api.Devices.CPU
torch.manual_seed(0)
task = PtychographyTask(
    options,
    diffraction_data=torch.as_tensor(counts),
    object_data=torch.as_tensor(scene["obj"].astype(np.complex64)),
    probe_data=torch.as_tensor(probe / n),  # pty-chi's transform is not unitary
    probe_position_y_px=places[:, 0],
    probe_position_x_px=places[:, 1],
    opr_mode_weights_data=torch.as_tensor(weights),
)
task.run()
with torch.no_grad():
    made = np.fft.fftshift(task.reconstructor.forward_model(torch.arange(len(counts))).numpy(), axes=(-2, -1))
np.savez(folder / "told.npz", misfit=((np.sqrt(made) - np.sqrt(counts)) ** 2).sum() / counts.sum())
names = ("object", "probe", "probe_positions", "opr_mode_weights")
obj, probe, places, weights = (np.array(task.get_data_to_cpu(name, as_numpy=True)) for name in names)
np.savez(folder / "found.npz", obj=obj, probe=probe, places=places, weights=weights)
with h5py.File(folder / "recon_Niter3.h5", "w") as f:
    f["probe"], f["object"], f["positions_px"], f["opr_mode_weights"] = probe, obj, places, weights
    f["obj_pixel_size_m"], f["slice_spacings_m"] = scene["pixel"], scene["spacing"]
