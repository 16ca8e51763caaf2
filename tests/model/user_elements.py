"""Elements of a user's for the tests: a tilt of the beam at each view."""

from __future__ import annotations

import numpy as np

import opty
from opty.model import Element


class Tilt(Element):
    """psi <- psi exp(i t_j . x): the wave of view j is tilted by t_j; leaf slope (N, 2) [rad/px]."""

    leaves = (opty.Leaf("slope", "view 2", unit="rad/px", scale=0, role="estimate"),)
    closed = True

    def initial(self, name, scan):
        return np.zeros((scan.views, 2))

    def forward(self, v, wave):
        x = v.xp.arange(v.n) - v.n // 2
        row, col = (v.xp.exp(1j * v.rows("slope")[:, a, None] * x).astype(v.dtype) for a in (0, 1))
        v.memory["ramp"] = (row[:, :, None] * col[:, None, :])[:, None]
        v.memory["out"] = wave * v.memory["ramp"]
        v.memory["slopes"] = [(1j * x)[:, None].astype(v.dtype), (1j * x)[None, :].astype(v.dtype)]
        return v.memory["out"]

    def tangent(self, v, dwave, changes):
        out = None if dwave is None else dwave * v.memory["ramp"]
        if "slope" in changes:
            turn = v.xp.asarray(changes["slope"], v.real_dtype)[:, :, None, None, None]
            row, col = v.memory["slopes"]
            turned = (turn[:, 0] * row + turn[:, 1] * col) * v.memory["out"]
            out = turned if out is None else out + turned
        return out

    def backward(self, v, chi, power):
        if v.wants("slope"):
            along = [((slope * v.memory["out"]).conj() * chi).real.sum(axis=(1, 2, 3)) for slope in v.memory["slopes"]]
            v.add("slope", v.xp.stack(along, axis=1))
        return v.memory["ramp"].conj() * chi, power
