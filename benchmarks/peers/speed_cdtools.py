"""CDTools: gradient descent by automatic differentiation, Adam in batches."""

import numpy as np
import torch
from cdtools.datasets import Ptycho2DDataset
from cdtools.models import FancyPtycho, SimplePtycho
from turns import batch, diff, pos, probe0, serve, torch_ready

WAVELENGTH, DISTANCE, PIXEL = 1.2e-10, 2.0, 75e-6
n, modes = diff.shape[-1], len(probe0)
name, wait = torch_ready()

sample_pixel = WAVELENGTH * DISTANCE / (n * PIXEL)
translations = np.zeros((len(pos), 3), np.float32)
translations[:, 1::-1] = -pos * sample_pixel
basis = np.array([[0, -PIXEL], [-PIXEL, 0], [0, 0]])
dataset = Ptycho2DDataset(
    translations,
    diff,
    wavelength=WAVELENGTH,
    detector_geometry={"distance": DISTANCE, "basis": basis, "corner": None},
)
# the plain model has one mode; the other one is what CDTools advises for real data
model = SimplePtycho.from_dataset(dataset) if modes == 1 else FancyPtycho.from_dataset(dataset, n_modes=modes)
start = torch.as_tensor(probe0[0] if modes == 1 else probe0)
norm = model.probe_norm.fill_(start.abs().max())
model.probe.data = torch.view_as_real(start / norm) if not model.probe.is_complex() else start / norm
model.to(device=name)
dataset.to(device=name)  # where opty has the frames; get_as alone sends each of them in every iteration
dataset.get_as(device=name)
turns = model.Adam_optimize(10**6, dataset, batch_size=batch, thread=False, calculation_width=batch)


def iterate(count):
    return [next(turns) for _ in range(count)][-1]


serve(iterate, wait)
