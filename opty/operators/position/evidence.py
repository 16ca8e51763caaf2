"""What the counts of a view say of its place: the curvature of its misfit, and the noise of the slope."""

from __future__ import annotations

import numpy as np

from opty.kernels.least_squares.solve2x2 import solved
from opty.model.views import Windows
from opty.operators.fourier import intensity_of
from opty.operators.position.signals import norms, other_light
from opty.state.views import Batch, memory_batch

EVIDENCE_NUMBERS = 7
_BLOCKS = 8  # along an edge of a pattern
_ARRAYS = 4  # of the size of the waves that are worked on at once


def window_slopes(window):
    """Return the changes of object windows (B, n, n), or (B, L, n, n), for a view that moves by one pixel along rows,
    and along columns: central differences, zero at the rim.
    """
    along_rows, along_columns = window * 0, window * 0
    along_rows[..., 1:-1, :] = (window[..., 2:, :] - window[..., :-2, :]) / 2
    along_columns[..., 1:-1] = (window[..., 2:] - window[..., :-2]) / 2
    return along_rows, along_columns


def measured_evidence(s, number: np.ndarray, light):
    """Return the evidence (B, 7) float64 of views ``number`` (B,), object and probe as they stand.

    With A the predicted amplitude at the detector, dA_a its change for a step of one pixel of the part of the object
    that other views light as well, and r = sqrt(I) - A: M_aa, M_ab, M_bb of M = sum dA dA; N_aa, N_ab, N_bb of N, the
    variance of the slope g = sum dA r; and the misfit sum r^2. Masked pixels do not count.

    N = sum_k g_k g_k over 8 x 8 blocks k of the pattern, g_k the sum of dA (r - dA . M^-1 g) in a block: what an
    unfinished object or a wrong probe leaves over is alike in neighbouring pixels, as far as the lit part of the
    window is narrow, and pixels that agree for that reason are no more than one.

    ``light`` (H, W) is that of all views on the object.
    Source: variance of a sum from blocks: Conley, J. Econometrics 92, 1 (1999).
    """
    return s.store.of_each(lambda store, some: _evidence_of(store, some, light), number)


def _evidence_of(s, number: np.ndarray, light):
    out = s.xp.empty((len(number), EVIDENCE_NUMBERS), np.float64)
    size = max(1, memory_batch(s) // _ARRAYS)
    for first in range(0, len(number), size):
        some = slice(first, first + size)
        out[some] = _evidence(s, Batch.at(s, number[some]), light)
    return out


def _evidence(s, b, light):
    xp, n, tiny = s.xp, b.n, np.finfo(s.real_dtype).tiny
    share, _ = other_light(s, b, light)
    share = share if b.patches.ndim == 3 else share[:, None]
    there = b.at_detector(b.exit_waves(), True)
    predicted = intensity_of(s, b, there)
    amplitude, residual = xp.sqrt(predicted), xp.sqrt(b.measured(predicted))
    residual -= amplitude
    mask = s.measured.mask_of(b.selection)
    changes = xp.empty((b.size, 2, n, n), s.real_dtype)
    for k, slope in enumerate(window_slopes(b.patches)):
        slope *= share
        moved = b.at_detector(b.tangent({"obj": Windows(slope)}), True)
        moved *= there.conj()
        changes[:, k] = b.seen(moved.real.sum(axis=1))
    changes /= xp.maximum(amplitude, tiny)[:, None]
    if mask is not None:
        changes *= mask[:, None] if mask.ndim == 3 else mask
        residual *= mask
    flat, left = changes.reshape(b.size, 2, -1), residual.reshape(b.size, -1, 1)
    square = (flat @ flat.swapaxes(1, 2)).astype(np.float64)
    misfit = norms(residual)
    slope = (flat @ left)[..., 0].astype(np.float64)
    step = solved(xp, (square[:, 0, 0], square[:, 1, 1], square[:, 0, 1]), slope.T).astype(s.real_dtype)
    left = residual - (step[:, None] @ flat).reshape(residual.shape)
    changes *= left[:, None]
    blocks = block_sums(xp, changes).reshape(b.size, 2, -1).astype(np.float64)
    noise = blocks @ blocks.swapaxes(1, 2)
    columns = [m[:, i, j] for m in (square, noise) for i, j in ((0, 0), (0, 1), (1, 1))]
    return xp.stack([*columns, misfit], axis=1)


def block_sums(xp, images):
    """Return the sums (..., b, b) over blocks of images (..., n, n), b = min(n, 8)."""
    n = images.shape[-1]
    block = xp.arange(n) * min(n, _BLOCKS) // n
    into = (block[:, None] == xp.arange(min(n, _BLOCKS))).astype(images.dtype)
    return into.T @ (images @ into)
