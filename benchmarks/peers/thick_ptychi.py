"""pty-chi on slices: LSQML, or its PIE; see thick.py.

Settings: ``engine`` "lsqml" or "rpie", ``batch``; ``step`` : of the object, 1 the package's own.
"""

import numpy as np
import torch
import torchvision_alone  # noqa: F401

# isort: split
import ptychi.api as api
from ptychi.api.task import PtychographyTask
from thick import folder, follow, scene, settings

torch.manual_seed(0)
torch.set_num_threads(1)
counts, corners, obj = scene["counts"].astype(np.float32), scene["corners"], scene["start"]
n = counts.shape[-1]
origin = [float(np.round(size / 2) + 0.5) for size in obj.shape[1:]]  # pty-chi counts from a pixel before
places = corners + (n - 1) / 2 - origin

options = {"lsqml": api.LSQMLOptions, "rpie": api.RPIEOptions}[settings["engine"]]()
options.data_options.free_space_propagation_distance_m = np.inf
options.data_options.wavelength_m = float(scene["wavelength"])
options.object_options.pixel_size_m = float(scene["pixel"])
options.object_options.slice_spacings_m = [float(scene["spacing"])] * (len(obj) - 1)
options.object_options.determine_position_origin_coords_by = api.ObjectPosOriginCoordsMethods.SPECIFIED
options.object_options.position_origin_coords = origin
options.object_options.optimizable = options.probe_options.optimizable = True
options.object_options.step_size *= settings["step"]
options.probe_position_options.optimizable = False
options.reconstructor_options.batch_size = settings["batch"]
options.reconstructor_options.num_epochs = 100000
options.reconstructor_options.default_device = api.Devices.CPU
task = PtychographyTask(
    options,
    diffraction_data=torch.as_tensor(counts),
    object_data=torch.as_tensor(obj.astype(np.complex64)),
    probe_data=torch.as_tensor(scene["probe"][None].astype(np.complex64) / n),  # its transform is not unitary
    probe_position_y_px=places[:, 0],
    probe_position_x_px=places[:, 1],
)


def slices():
    return np.array(task.get_data_to_cpu("object", as_numpy=True))


if settings.get("truth"):
    with torch.no_grad():
        made = np.fft.fftshift(task.reconstructor.forward_model(torch.arange(len(counts))).numpy(), axes=(-2, -1))
    np.savez(folder / "told.npz", misfit=((np.sqrt(made) - np.sqrt(counts)) ** 2).sum() / counts.sum())
else:
    follow(lambda count: task.run(count), slices)
