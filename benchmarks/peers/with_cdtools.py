"""CDTools: reads opty's CXI, writes one of its own."""

import sys
from pathlib import Path

import numpy as np
import torch
from cdtools import tools
from cdtools.datasets import Ptycho2DDataset
from cdtools.models import FancyPtycho, SimplePtycho

task, folder = sys.argv[1], Path(sys.argv[2])
truth = np.load(folder / "truth.npz")


def model_of_the_truth(dataset):
    """CDTools' plainest model with the true object where the positions, as CDTools understands them, look for it."""
    model = SimplePtycho.from_dataset(dataset)
    pixels = tools.interactions.translations_to_pixel(model.probe_basis, dataset.translations) - model.min_translation
    shift = np.rint(truth["corners"][0] - pixels[0].numpy()).astype(int)
    obj = truth["obj"][shift[0] :, shift[1] :]
    model.obj.data = torch.as_tensor(np.pad(obj, [(0, 40), (0, 40)]), dtype=torch.complex64)
    model.probe.data = torch.as_tensor(truth["probe"][0], dtype=torch.complex64)
    model.probe_norm.fill_(1)
    return model


def read():
    torch.manual_seed(0)
    found = Ptycho2DDataset.from_cxi(folder / "scan.cxi")
    translations, basis = found.translations.numpy(), np.asarray(found.detector_geometry["basis"])
    lengths = [float(found.wavelength), float(found.detector_geometry["distance"]), float(np.linalg.norm(basis[:, 0]))]
    every = torch.arange(len(found))
    with torch.no_grad():
        predicted = model_of_the_truth(found).forward(every, found.translations).numpy()
    model = FancyPtycho.from_dataset(found, n_modes=1, probe_support_radius=14)
    losses = list(model.Adam_optimize(30, found, lr=0.02, batch_size=6))
    model.save_to_h5(folder / "theirs-result.h5", found)
    with torch.no_grad():
        made = model.forward(every, found.translations).numpy()
    mask, counts = found.mask.numpy(), found.patterns.numpy()
    wrong = (np.sqrt(counts) - np.sqrt(made)) ** 2
    # the basis of the detector's rows and columns is -y and -x; CDTools holds the translations of the beam
    np.savez(
        folder / "found.npz",
        counts=counts,
        positions=-translations[:, 1::-1],
        lengths=lengths,
        predicted=predicted,
        mask=mask,
        before=losses[0],
        after=losses[-1],
        result_misfit=wrong[:, mask].sum() / counts[:, mask].sum(),
    )


def write():
    """CDTools' own model simulates, and its dataset writes, with a mask and a background."""
    wavelength, distance, pixel = truth["lengths"]
    translations = np.zeros((len(truth["positions"]), 3), np.float32)
    translations[:, 1::-1] = -truth["positions"]
    basis = np.array([[0, -pixel], [-pixel, 0], [0, 0]])
    geometry = {"distance": distance, "basis": basis, "corner": None}
    dataset = Ptycho2DDataset(
        translations, truth["counts"].astype(np.float32), wavelength=wavelength, detector_geometry=geometry
    )
    with torch.no_grad():
        counts = (
            model_of_the_truth(dataset).forward(torch.arange(len(translations)), dataset.translations).numpy() + 0.25
        )
    mask = np.ones(counts.shape[1:], bool)
    mask[3, 5] = False
    Ptycho2DDataset(
        translations,
        counts,
        wavelength=wavelength,
        detector_geometry=geometry,
        mask=mask,
        background=np.full(counts.shape[1:], 0.25),
        qe_mask=np.full(counts.shape[1:], 1.0),
        entry_info={"title": "written by CDTools"},
    ).to_cxi(folder / "theirs.cxi")
    np.savez(folder / "told.npz", counts=counts, positions=-translations[:, 1::-1], lengths=truth["lengths"], mask=mask)


{"read": read, "write": write}[task]()
