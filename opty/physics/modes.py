"""Modes of a probe, incoherent ones and those by which it varies: the basis by which their powers mean something."""

from __future__ import annotations

import numpy as np


def orthogonal_basis(gram: np.ndarray) -> np.ndarray:
    """Return the unitary (M, M) that makes modes with Gram matrix <P_a, P_b> = sum conj(P_a) P_b orthogonal.

    The strongest mode comes first. Source: Thibault, Menzel, Nature 494, 68 (2013).
    """
    powers, vectors = np.linalg.eigh(gram.conj())
    turn = vectors[:, np.argsort(powers)[::-1]].conj().T
    # Each new mode in phase with the old mode that it holds most of, so that repeating the step changes nothing.
    main = turn[np.arange(len(turn)), np.abs(turn).argmax(axis=1)]
    return turn * (np.abs(main) / main)[:, None]


def orthogonal(modes: np.ndarray, weight: np.ndarray | None = None) -> np.ndarray:
    """Return modes (M, n, n) complex in their orthogonal basis, strongest first; intensities do not change.

    ``weight`` (n, n) real : of the pixels, in products of two modes; None: all count alike.
    """
    flat = np.asarray(modes, dtype=np.complex128).reshape(len(modes), -1)
    seen = flat if weight is None else flat * weight.reshape(-1)
    turned = orthogonal_basis(flat.conj() @ seen.T) @ flat
    return turned.reshape(modes.shape).astype(modes.dtype)


def variations(modes: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return P_0, U and c of probes sum_k w_jk V_k as opty has them, P_0 + sum_k c_jk U_k; no view's probe changes.

    ``modes`` V (L, n, n) complex, ``weights`` w (N, L) real. c (N, K) has mean zero, U (K, n, n) are orthogonal as real
    numbers, each of the power of P_0 (n, n), the strongest first. K is as many as there are that change an amplitude by
    a millionth; 0 where the probe is steady.
    """
    modes, weights = np.array(modes, np.complex128, order="C"), np.asarray(weights, np.float64)
    mean = weights.mean(axis=0)
    first = np.tensordot(mean, modes, 1)
    along, within = np.linalg.qr(weights - mean)
    turn, sizes, found = np.linalg.svd(within @ modes.reshape(len(modes), -1).view(np.float64), full_matrices=False)
    size = np.linalg.norm(first)
    kept = int((sizes > 1e-6 * size * np.sqrt(len(weights))).sum())
    parts = (size * found[:kept]).view(np.complex128).reshape(kept, *modes.shape[1:])
    return first, parts, along @ (turn[:, :kept] * sizes[:kept]) / (size or 1.0)
