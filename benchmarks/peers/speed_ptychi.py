"""pty-chi's engines: epie, rpie, lsqml, dm, raar."""

import numpy as np
import torch
import torchvision_alone  # noqa: F401

# isort: split
import ptychi.api as api
from ptychi.api.task import PtychographyTask
from turns import batch, device, diff, engine, obj0, pos, probe0, serve, torch_ready

MAKE = {
    "epie": api.EPIEOptions,
    "rpie": api.RPIEOptions,
    "lsqml": api.LSQMLOptions,
    "dm": api.DMOptions,
    "raar": api.RAAROptions,
}


def options():
    made = MAKE[engine]()
    made.data_options.free_space_propagation_distance_m = np.inf
    made.data_options.save_data_on_device = device == "gpu"  # where opty has them; they are sent in every batch if not
    made.object_options.optimizable = made.probe_options.optimizable = True
    made.probe_position_options.optimizable = False
    reconstructor = made.reconstructor_options
    reconstructor.default_device = api.Devices.GPU if device == "gpu" else api.Devices.CPU
    if engine in ("dm", "raar"):
        reconstructor.chunk_length = batch
    else:
        reconstructor.batch_size = batch
    return made


n = diff.shape[-1]
_, wait = torch_ready()
whole = PtychographyTask(
    options(),
    diffraction_data=torch.as_tensor(diff),
    object_data=torch.as_tensor(obj0[None].astype(np.complex64)),
    probe_data=torch.as_tensor(probe0[None] / n),  # its transform is not unitary
    probe_position_y_px=pos[:, 0] + n / 2 - round(obj0.shape[0] / 2),
    probe_position_x_px=pos[:, 1] + n / 2 - round(obj0.shape[1] / 2),
)


def iterate(count):
    whole.run(count)
    return whole.reconstructor.loss_tracker.table["loss"].to_numpy()[-1]


serve(iterate, wait)
