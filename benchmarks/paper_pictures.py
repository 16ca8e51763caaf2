"""Pictures of Guzzi et al. 2022 that a script of examples/paper and a benchmark with another package both draw."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

import opty
from benchmarks.record import machine


def save_with_machine(fig, path: Path, **about) -> None:
    """Write a picture, and beside it NAME.json with the machine that made it and what else is told about it."""
    opty.plot.save_figure(fig, str(path))
    path.with_suffix(".json").write_text(json.dumps({**about, "machine": machine()}, indent=1) + "\n")


def ramp_panels(axes, raw, straight, margin: int) -> None:
    """Draw Fig. S6 into three axes: the corrected phase, the raw one, and both spectra, raw in red, corrected in green.

    ``raw``, ``straight`` : states before and after ``RemoveRamp``. ``margin`` : pixels left out all round the object.
    """
    cut = tuple(slice(margin, size - margin) for size in raw.obj.shape)
    middle = np.exp(1j * np.angle(straight.obj[cut].sum()))
    for ax, state, title in zip(axes, (straight, raw), ("(a) corrected", "(b) raw phase"), strict=False):
        ax.imshow(np.angle(state.obj[cut] / middle), cmap="gray")
        ax.set_title(title)
    layers = []
    for state in (raw, straight):
        image = state.obj[cut] * np.outer(*(np.hanning(size) for size in state.obj[cut].shape))
        height = np.log(np.abs(np.fft.fftshift(np.fft.fft2(image, (256, 256)))))
        layers.append(np.clip((height - height.max() + 6) / 6, 0, 1))
    axes[2].imshow(np.stack([*layers, 0 * layers[0]], axis=-1))
    axes[2].set_title("(c) spectra: raw in red, corrected in green")
