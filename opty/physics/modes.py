"""Incoherent probe modes: the one basis in which they are orthogonal, by which their powers mean something."""

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


def orthogonal(modes: np.ndarray) -> np.ndarray:
    """Return probe modes (M, n, n) complex in their orthogonal basis, strongest first; intensities do not change."""
    flat = np.asarray(modes, dtype=np.complex128).reshape(len(modes), -1)
    turned = orthogonal_basis(flat.conj() @ flat.T) @ flat
    return turned.reshape(modes.shape).astype(modes.dtype)
