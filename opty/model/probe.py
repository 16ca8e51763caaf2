"""The illumination: the probe, moved to each view; where it varies, with what varies of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from opty.algebra.leaf import Leaf
from opty.kernels.cpu_engine import CpuEngine
from opty.model.element import LEAVES, Element
from opty.model.moved_beam import Spectra
from opty.model.scan import Scan
from opty.model.views import ModelViews

if TYPE_CHECKING:
    from opty.data import PtychoData

PROBE = Leaf("probe", "mode row col", unit="sqrt(photons)", dtype="complex", grid="window", scale=1, role="estimate")
OPR_MODES = PROBE.like("opr_modes", axes="variation row col", role="estimate", part_of="probe").as_part()
OPR_WEIGHTS = Leaf("opr_weights", "view variation", dtype="real", scale=0, role="estimate", part_of="probe").as_part()
LEAVES |= {leaf.name: leaf for leaf in (PROBE, OPR_MODES, OPR_WEIGHTS)}  # what a probe brings depends on the probe

_FIRST_WEIGHT = 0.01  # rms: modes and weights that are both zero would never move


class Probe(Element):
    """The probe: P_m(r - f_j), M incoherent modes, moved by the fraction f_j [px] by which view j lies off its window.

    With ``variable`` = K the first mode is another one in each view: P_0 + sum_k c_jk U_k, c real.

    Parameters
    ----------
    modes : how many; None for as many as the starting probe has, else one.
    variable : K, in how many ways the first mode varies along the scan; 0: the probe is steady. The other modes are.
    scans : of several scans of one object (``opty.join``), the number of views of each, in their order: each has a
        first mode of its own. None: one scan.

    Leaves: probe (M, n, n) complex [sqrt(photons)]; of one that varies opr_modes U (K, n, n) complex [sqrt(photons)],
    orthogonal, each of the power of the first mode, the one that varies most first, and opr_weights c (N, K) real (no
    unit), of mean zero. They start as noise under the probe and with weights of 0.01 rms, and every step that finds the
    probe finds them. Of S scans K = S - 1, the modes start at zero, P_0 is the mean over the
    views, and the weights are known and stay: S - 1 orthogonal contrasts between the scans, of rms 1.
    Positions enter here: d/dr_a of the moved probe w is F^-1 [-2 pi i q_a F w].
    Source: Thibault, Menzel, Nature 494, 68 (2013) for the modes; Odstrcil et al., Opt. Express 24, 8360 (2016) for the
    orthogonal relaxation of the probe (OPR); real weights are opty's.
    """

    modes: int | None = None
    variable: int = 0
    scans: tuple[int, ...] | None = None
    source = True
    moved_by = frozenset({"positions"})

    def check(self) -> None:
        if self.modes is not None and self.modes < 1:
            raise ValueError(f"Probe(modes={self.modes}): give a number of modes from 1 on")
        if self.variable < 0:
            raise ValueError(f"Probe(variable={self.variable}): give in how many ways it varies, from 0 (steady) on")
        if self.scans is None:
            return
        if len(self.scans) < 2 or min(self.scans) < 1:
            raise ValueError(f"Probe(scans={self.scans}): give the number of views of each of the scans, as (196, 150)")
        if self.variable:
            raise ValueError(
                f"Probe(variable={self.variable}, scans={self.scans}): a probe varies from view to view, or from scan "
                "to scan; give one of the two"
            )

    def doubt(self, data: PtychoData) -> str | None:
        if self.variable < data.views:
            return None
        return (
            f"{self!r}: {data.views} views differ from their mean in {data.views - 1} ways at most, and the others "
            "stay without use: give a small number, such as variable=2"
        )

    @property
    def ways(self) -> int:
        """K, in how many ways the first mode varies."""
        return self.variable if self.scans is None else len(self.scans) - 1

    @property
    def leaves(self) -> tuple[Leaf, ...]:  # type: ignore[override]
        """The probe, and what varies of it."""
        return (PROBE, OPR_MODES, OPR_WEIGHTS) if self.ways else (PROBE,)

    @property
    def thin(self) -> bool:  # type: ignore[override]
        """A steady one is P of the exit waves P O."""
        return not self.ways

    @property
    def closed(self) -> bool:  # type: ignore[override]
        """The nearest waves of a probe that varies are not known."""
        return not self.ways

    @property
    def probe_step(self) -> float:  # type: ignore[override]
        """Probe and what varies of it explain one residual: half a step each."""
        return 0.5 if self.ways else 1.0

    @property
    def kept(self) -> float:  # type: ignore[override]
        """The waves; of a probe that varies also those that its sums are made of."""
        return 3.0 if self.ways else 1.0

    def initial(self, name: str, scan: Scan) -> np.ndarray:
        if name == "probe":
            return scan.probe(self.modes)
        if self.scans is not None:
            return self._of_scans(name, scan)
        rng = np.random.default_rng([scan.seed, self.variable])
        noise = rng.normal(size=(2, self.variable, scan.n, scan.n))
        if name == "opr_weights":
            return (_FIRST_WEIGHT * rng.normal(size=(scan.views, self.variable))).astype(scan.real_dtype)
        first = np.abs(scan.probe(self.modes)[0].astype(np.complex128))
        return ((noise[0] + 1j * noise[1]) * first / np.sqrt(2)).astype(scan.dtype)

    def _of_scans(self, name: str, scan: Scan) -> np.ndarray:
        """Return what the probes of several scans start with: no difference; and the weights, which stay."""
        if name == "opr_modes":
            return np.zeros((self.ways, scan.n, scan.n), scan.dtype)
        counts = np.array(self.scans)
        if counts.sum() != scan.views:
            raise ValueError(
                f"Probe(scans={self.scans}) is of {counts.sum()} views, and the measurement has {scan.views}: give the "
                "number of views of each scan, in the order in which they were joined"
            )
        number = np.repeat(np.arange(len(counts)), counts)
        beyond = (number[:, None] == np.arange(1, len(counts))).astype(np.float64)
        # Orthogonal, so that the step of one mode does not undo that of another.
        weights, signs = np.linalg.qr(beyond - beyond.mean(axis=0))
        return (weights * np.sign(signs.diagonal()) * np.sqrt(scan.views)).astype(scan.real_dtype)

    def states_behind(self, count: int) -> int:
        return count

    def illuminate(self, v: ModelViews) -> Any:
        probe = v.leaf("probe")
        if not self.ways:
            return v.as_seen(probe)
        modes = v.leaf("opr_modes")
        if spectral(v, len(modes)):
            v.fields["opr_spectra"] = v.backend.fft2(modes, False, v.threads)  # the way back needs them too
        return self._seen(v, probe, v.rows("opr_weights"), modes, v.fields.get("opr_spectra"))

    def forward(self, v: ModelViews, wave: Any) -> Any:
        return v.illum

    def tangent(self, v: ModelViews, dwave: Any, changes: dict[str, Any]) -> Any:
        out = v.as_seen(changes["probe"]) if "probe" in changes else None
        pairs = []
        if "opr_modes" in changes:
            pairs.append((v.rows("opr_weights"), changes["opr_modes"]))
        if "opr_weights" in changes:
            pairs.append((v.xp.asarray(changes["opr_weights"], v.real_dtype), v.leaf("opr_modes")))
        for weights, modes in pairs:
            varied = self._seen(v, v.xp.zeros_like(v.leaf("probe")), weights, modes)
            out = varied if out is None else out + varied
        if "positions" in changes:
            row, col = self._slopes(v)
            move = v.xp.asarray(changes["positions"], v.real_dtype)[:, :, None, None, None]
            moved = row * move[:, 0] + col * move[:, 1]
            out = moved if out is None else out + moved
        return out

    def backward(self, v: ModelViews, chi: Any, power: Any) -> tuple[Any, Any]:
        if v.wants("positions"):
            chi = v.backend.ifft2(chi.of_views, True, v.threads) if isinstance(chi, Spectra) else chi
            along = [(slope.conj() * chi).real.sum(axis=(1, 2, 3)) for slope in self._slopes(v)]
            v.add("positions", v.xp.stack(along, axis=1))
        if not any(v.wants(leaf.name) for leaf in self.leaves):
            return None, None
        weight = v.xp.ones((1, v.n, v.n), v.real_dtype) if power is None else power
        if v.brightness is not None:
            weight = weight * v.brightness**2
        if self.ways:
            direction, modes, weights = self.directions(v, chi)
            v.add("opr_modes", modes)
            v.add("opr_weights", weights)
        else:
            direction = v.on_source(chi)
        v.add("probe", direction, v.xp.broadcast_to(weight, (v.size, v.n, v.n)))
        return None, None

    def _seen(self, v: ModelViews, probe: Any, weights: Any, modes: Any, spectra: Any = None) -> Any:
        """Return probe (M, n, n) + weights (B, K) modes (K, n, n) in the first mode, as each view sees it."""
        there = spectral(v, len(modes))
        if there:
            probe = v.backend.fft2(probe, False, v.threads)
            modes = v.backend.fft2(modes, False, v.threads) if spectra is None else spectra
        each = v.xp.empty((v.size, *probe.shape), probe.dtype)
        if isinstance(v.engine, CpuEngine):
            v.engine.mix(probe, weights, modes, each)
        else:
            each[...] = probe
            each[:, 0] += combined(weights, modes)
        if not there:
            return v.as_seen(each)
        seen = v.shift(each)
        return seen if v.brightness is None else seen * v.brightness[:, None]

    def directions(self, v: ModelViews, chi: Any) -> tuple[Any, Any, Any]:
        """Return the directions of the probe (M, n, n), the OPR modes (K, n, n) and the views' weights (B, K).

        ``chi`` (B, M, n, n) : at the probe's place, moved; may be overwritten where views lie at fractions of a pixel.
        """
        weights, modes = v.rows("opr_weights"), v.leaf("opr_modes")
        if v.brightness is not None:
            chi = chi * v.brightness[:, None]
        there = v.fraction is not None
        if there:
            _ = v.illum  # which brings the spectra of the modes, as the views saw them
            chi = v.unshifted(chi)
            there = spectral(v, len(modes))
            chi = chi if there else v.backend.ifft2(chi, True, v.threads)
            modes = v.fields["opr_spectra"] if there else modes
        flat = _real(v.xp.ascontiguousarray(chi[:, 0]))
        if isinstance(v.engine, CpuEngine):
            along, of_weights = v.engine.along_modes(flat, _real(modes), weights)
        else:
            along, of_weights = weights.T @ flat, flat @ _real(modes).T
        of_modes = along.view(chi.dtype).reshape(modes.shape)
        total = chi[0] if len(chi) == 1 else chi.sum(axis=0)
        if there:
            of_modes, total = (v.backend.ifft2(a, True, v.threads) for a in (of_modes, total))
        return total, of_modes, of_weights

    def _slopes(self, v: ModelViews) -> tuple[Any, Any]:
        """Return d/drow and d/dcol of the moved probe, (B or 1, M, n, n)."""
        if "slopes" not in v.memory:
            v.memory["slopes"] = slopes(v, v.illum, -1.0)
        return v.memory["slopes"]


def spectral(v: ModelViews, variations: int) -> bool:
    """Say whether what varies is mixed as spectra: views at fractions of a pixel, and more of them than OPR modes."""
    return v.fraction is not None and v.size > variations


def combined(weights: Any, modes: Any) -> Any:
    """Return sum_k weights_jk modes_k (B, n, n) of weights (B, K) real and modes (K, n, n) complex."""
    return (weights @ _real(modes)).view(modes.dtype).reshape(len(weights), *modes.shape[1:])


def _real(waves: Any) -> Any:
    """Return complex images (K, n, n) as rows of real numbers (K, 2 n n)."""
    return waves.reshape(len(waves), -1).view(waves.real.dtype)


def slopes(v: ModelViews, wave: Any, sign: float) -> tuple[Any, Any]:
    """Return the derivatives F^-1 [sign 2 pi i q F w] of a wave w (B or 1, S, n, n) along rows and columns."""
    q = (sign * 2j * np.pi) * v.xp.fft.fftfreq(v.n)
    spectrum = v.backend.fft2(wave, False, v.threads)
    # The Nyquist frequency stays in: the ramp that moves the probe moves it too.
    along = (q[:, None].astype(v.dtype), q[None, :].astype(v.dtype))
    row, col = (v.backend.ifft2(spectrum * factor, True, v.threads) for factor in along)
    return row, col
