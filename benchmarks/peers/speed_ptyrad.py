"""PtyRAD: gradient descent by automatic differentiation, Adam in batches, with the constraints of its template."""

import numpy as np
import torch
import torchvision_alone  # noqa: F401

# isort: split
from ptyrad.core import CombinedConstraint, CombinedLoss, PtychoModel
from ptyrad.init import Initializer
from ptyrad.params.ptyrad_params import PtyRADParams
from ptyrad.solver.reconstruction import compute_loss, create_optimizer, make_batches, recon_step, toggle_grad_requires
from turns import batch, diff, obj0, pos, probe0, serve, torch_ready

name, wait = torch_ready()
n, modes = diff.shape[-1], len(probe0)
params = PtyRADParams(
    init_params={
        "probe_kv": 80,
        "probe_conv_angle": 20.0,
        "meas_Npix": n,
        "pos_N_scans": len(pos),
        "pos_N_scan_slow": len(pos),
        "pos_N_scan_fast": 1,
        "pos_scan_step_size": 1.0,
        "pos_scan_rand_std": None,
        "probe_pmode_max": modes,
        "obj_Nlayer": 1,
        "obj_slice_thickness": 1.0,
        "meas_calibration": {"mode": "dx", "value": 0.1},
        "meas_source": "custom",
        "meas_params": diff,
        "probe_source": "custom",
        "probe_params": probe0,
        "pos_source": "custom",
        "pos_params": pos,
        "obj_source": "custom",
        "obj_params": obj0[None, None].astype(np.complex64),
    }
).model_dump()
params["model_params"]["update_params"]["probe_pos_shifts"] |= {"start_iter": None, "lr": 0}

init = Initializer(params["init_params"], seed=0).init_all()
model = PtychoModel(init.init_variables, params["model_params"], device=name)
optimizer = create_optimizer(model.optimizer_params, model.optimizable_params)
loss = CombinedLoss(params["loss_params"], device=name)
constraint = CombinedConstraint(params["constraint_params"], device=name)
groups = make_batches(np.arange(len(pos)), pos, min(batch, len(pos)), mode="random", seed=0)
groups = [torch.from_numpy(group).to(name) for group in groups]


def iterate(count):
    for _ in range(count):
        number = len(model.iter_times) + 1
        toggle_grad_requires(model, number)
        losses = recon_step(groups, 1, model, optimizer, None, loss, constraint, number, compute_loss_fn=compute_loss)
    return sum(np.mean(values) for values in losses.values())


serve(iterate, wait)
