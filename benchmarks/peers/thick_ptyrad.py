"""PtyRAD on slices: Adam on amplitudes and phases by automatic differentiation; see thick.py.

Settings: ``lr`` of amplitude and phase of the object, ``probe_lr``, ``batch``; ``smooth``: whether the blurs of its
template act, across a slice and from slice to slice, or none.
"""

import numpy as np
import torch
import torchvision_alone  # noqa: F401

# isort: split
from ptyrad.core import CombinedConstraint, CombinedLoss, PtychoModel
from ptyrad.init import Initializer
from ptyrad.params.ptyrad_params import PtyRADParams
from ptyrad.solver.reconstruction import compute_loss, create_optimizer, make_batches, recon_step, toggle_grad_requires
from thick import folder, follow, scene, settings

torch.manual_seed(0)
torch.set_num_threads(1)
counts, corners, obj = scene["counts"].astype(np.float32), scene["corners"], scene["start"]
# PtyRAD thinks of electrons: at 300 kV, 0.0197 angstrom, with pixels of one angstrom, for the same lambda z / dx^2
WAVELENGTH = 12.398 / np.sqrt((2 * 511.0 + 300.0) * 300.0)
gap = float(scene["turns"]) / WAVELENGTH
light = (np.abs(scene["probe"]) ** 2).sum() / counts.mean(axis=0).max()  # of the probe, as PtyRAD divides the patterns
params = PtyRADParams(
    init_params={
        "probe_kv": 300.0,
        "probe_conv_angle": 5.0,
        "meas_Npix": counts.shape[-1],
        "pos_N_scan_slow": len(counts),
        "pos_N_scan_fast": 1,
        "pos_scan_step_size": 1.0,
        "pos_scan_rand_std": None,
        "probe_pmode_max": len(scene["probe"]),
        "probe_normalization": {"mode": "target_intensity", "value": float(light)},
        "obj_Nlayer": len(obj),
        "obj_slice_thickness": gap,
        "meas_calibration": {"mode": "dx", "value": 1.0},
        "meas_source": "custom",
        "meas_params": counts,
        "probe_source": "custom",
        "probe_params": scene["probe"].astype(np.complex64),
        "pos_source": "custom",
        "pos_params": corners,
        "obj_source": "custom",
        "obj_params": obj[None].astype(np.complex64),
    }
).model_dump()
update = params["model_params"]["update_params"]
update["probe_pos_shifts"] |= {"start_iter": None, "lr": 0}
update["obja"]["lr"] = update["objp"]["lr"] = settings["lr"]
update["probe"]["lr"] = settings["probe_lr"]
if not settings["smooth"]:
    for name, values in params["constraint_params"].items():
        if name.startswith("obj"):
            values["start_iter"] = None

init = Initializer(params["init_params"], seed=0).init_all()
model = PtychoModel(init.init_variables, params["model_params"], device="cpu")
optimizer = create_optimizer(model.optimizer_params, model.optimizable_params)
loss = CombinedLoss(params["loss_params"], device="cpu")
constraint = CombinedConstraint(params["constraint_params"], device="cpu")
groups = make_batches(np.arange(len(corners)), corners, settings["batch"], mode="random", seed=0)
groups = [torch.from_numpy(group) for group in groups]


def iterate(count):
    for _ in range(count):
        number = len(model.iter_times) + 1
        toggle_grad_requires(model, number)
        recon_step(groups, 1, model, optimizer, None, loss, constraint, number, compute_loss_fn=compute_loss)


def slices():
    return (model.opt_obja * torch.exp(1j * model.opt_objp)).detach().numpy()[0]


if settings.get("truth"):  # whether its forward model is the one of the scan
    with torch.no_grad():
        made = model(torch.arange(len(counts))).numpy()
    measured = init.init_variables["measurements"]
    np.savez(folder / "told.npz", misfit=((np.sqrt(made) - np.sqrt(measured)) ** 2).sum() / measured.sum())
else:
    follow(iterate, slices)
