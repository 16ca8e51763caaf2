"""PtyRAD: three iterations of its solver on slices, from the truth, and the model file that it saves."""

import os
import sys
from pathlib import Path

import numpy as np
import torch
import torchvision_alone  # noqa: F401

# isort: split
from accelerate import Accelerator
from ptyrad.params.ptyrad_params import PtyRADParams
from ptyrad.solver import PtyRADSolver

folder = Path(sys.argv[1])
scene = np.load(folder / "scene.npz")
counts = scene["counts"].astype(np.float32)
light = (np.abs(scene["probe"]) ** 2).sum() / counts.mean(axis=0).max()  # of the probe, as PtyRAD divides the patterns
params = PtyRADParams(
    init_params={
        "probe_kv": 300.0,
        "probe_conv_angle": 20.0,
        "meas_Npix": counts.shape[-1],
        "pos_N_scan_slow": len(counts),
        "pos_N_scan_fast": 1,
        "pos_scan_step_size": 1.0,
        "pos_scan_rand_std": None,
        "probe_pmode_max": len(scene["probe"]),
        "probe_normalization": {"mode": "target_intensity", "value": float(light)},
        "obj_Nlayer": len(scene["obj"]),
        "obj_slice_thickness": float(scene["spacing"][0]) * 1e10,
        "meas_calibration": {"mode": "dx", "value": float(scene["pixel"]) * 1e10},
        "meas_source": "custom",
        "meas_params": counts,
        "probe_source": "custom",
        "probe_params": scene["probe"].astype(np.complex64),
        "pos_source": "custom",
        "pos_params": scene["corners"],
        "obj_source": "custom",
        "obj_params": scene["obj"][None].astype(np.complex64),
    },
    recon_params={
        "NITER": 3,
        "SAVE_ITERS": 3,
        "BATCH_SIZE": {"size": 5, "grad_accumulation": 1},
        "output_dir": str(folder / "out"),
        "recon_dir_affixes": ["minimal"],
        "copy_params": False,
        "save_result": ["model"],
        "selected_figs": [],
    },
).model_dump()
solver = PtyRADSolver(params, device="cpu", seed=0, acc=Accelerator(cpu=True))
solver.reconstruct()
with torch.no_grad():
    made = solver.reconstruct_results(torch.arange(len(counts))).numpy()
measured = solver.init.init_variables["measurements"]
np.savez(folder / "told.npz", misfit=((np.sqrt(made) - np.sqrt(measured)) ** 2).sum() / measured.sum())
(saved,) = (folder / "out").glob("*/model*.hdf5")
os.replace(saved, folder / "model.hdf5")
