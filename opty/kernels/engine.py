"""The protocol of an engine: what a batch goes through in the fused steps of a sweep, on either device."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from opty.kernels.operands import MeasuredFrames, WaveStore
from opty.physics.propagation import Propagator


class Engine(Protocol):
    """The kernels of one run, with buffers that last as long as the run.

    obj (H, W) complex; corners (B, 2) int, the windows' first pixels; illum (B or 1, M, n, n), the probe as each view
    sees it; waves (B, M, n, n); rows (B,) int, where the views stand in arrays of more views than those of the batch.
    Outputs are written in place. ``fraction`` (B, 2) px is what the corners leave of the positions.
    """

    generation: int  # changes when a buffer that a captured graph may use is replaced by another one

    # -- buffers: see Workspace

    def new_sweep(self, alone: bool, largest: int = 1) -> None: ...

    def use(self, propagator: Propagator) -> None: ...

    def misfit(self) -> Any:
        """Return sum w (sqrt I - sqrt Ihat)^2 of all that went to the detector in this sweep, a real scalar."""

    def held(self) -> int: ...

    def scratch(self, name: str, views: int, times: int = 1) -> Any: ...

    def rows(self, views: int) -> Any: ...

    def accumulators(self, leaf: str, shape: tuple[int, int, int]) -> tuple[Any, Any]: ...

    def persistent(self, name: str, shape: tuple[int, ...], dtype: Any = np.float64) -> Any: ...

    # -- waves to the detector and back

    def exit_waves(self, obj: Any, corners: Any, illum: Any, waves: Any) -> None:
        """waves_jm = illum_jm O_j."""

    def project(
        self,
        obj: Any,
        corners: Any,
        illum: Any,
        frames: MeasuredFrames,
        difference: bool,
        waves: Any,
        fraction: Any = None,
    ) -> None:
        """Bring exit waves to the detector, put the measured modulus on them and bring them back, into ``waves``.

        They start as illum O; what comes back are the projected waves, or with ``difference`` their difference to what
        they were. ``fraction`` concerns the near field only. ``misfit`` counts sum w (sqrt I - sqrt Ihat)^2 of the
        batch.
        """

    def step_kept(
        self,
        obj: Any,
        corners: Any,
        illum: Any,
        frames: MeasuredFrames,
        waves: Any,
        kept: WaveStore,
        beta: float,
        keep: float,
        fraction: Any = None,
    ) -> None:
        """Take a step of the difference map's kind: kept += beta (Pi(2 P O - kept) - P O) + (1 - keep) (P O - kept).

        Pi is what ``project`` does. ``waves`` is memory to work in. ``misfit`` counts that of 2 P O - kept.
        """

    # -- probes moved by fractions of a pixel

    def shifted(self, probe: Any, fraction: Any, name: str = "illum") -> Any:
        """Return a probe (M, n, n) moved by ``fraction`` for each view, (B, M, n, n), in scratch ``name``."""

    def on_probe(self, waves: Any, rows: Any, obj: Any, corners: Any, fraction: Any) -> Any:
        """Return sum_j S_j^-1 conj(O_j) waves_jm (M, n, n), S_j the move by ``fraction``: the adjoint of seeing it."""

    def add_on_probe(
        self, waves: Any, rows: Any, obj: Any, corners: Any, fraction: Any, spectrum: Any, illum: Any = None
    ) -> None:
        """Add the spectrum of what ``on_probe`` returns to ``spectrum`` (M, n, n), view after view.

        With ``illum`` the waves are taken less illum_jm O_j.
        """

    def add_seen(self, obj: Any, corners: Any, probe_weight: Any) -> None:
        """probe_weight (n, n) += |O_j|^2 over the views."""

    # -- sums over views

    def add_to_object(self, waves: Any, rows: Any, corners: Any, illum: Any, obj_sum: Any, obj_weight: Any) -> None:
        """obj_sum (H, W) += sum_m conj(illum_jm) waves_jm and obj_weight += sum_m |illum_jm|^2, views in place."""

    def add_to_probe(self, waves: Any, rows: Any, obj: Any, corners: Any, probe_sum: Any, probe_weight: Any) -> None:
        """probe_sum (M, n, n) += conj(O_j) waves_jm and probe_weight (n, n) += |O_j|^2, over the views."""

    def add_to_both(
        self,
        waves: Any,
        rows: Any,
        corners: Any,
        illum: Any,
        obj: Any,
        obj_sum: Any,
        obj_weight: Any,
        probe_sum: Any,
        probe_weight: Any,
    ) -> None:
        """What ``add_to_object`` and ``add_to_probe`` do, together."""

    # -- steps

    def add_scaled(self, target: Any, direction: Any, weight: Any, regularisation: float, step: float) -> None:
        """target (L, H, W) += step direction / [a max(weight) + (1 - a) weight], a the regularisation.

        direction (L, H, W) and weight (H, W) are zero afterwards.
        """

    def divide(self, direction: Any, weight: Any, regularisation: float, largest: Any = None) -> None:
        """direction (L, H, W) /= a max(weight) + (1 - a) weight, a the regularisation; weight (H, W) stays.

        ``largest`` : numbers (K,) float64 on the device of which the largest is to be max(weight), if the weight given
        is a part of it.
        """

    def merge(self, old: Any, total: Any, weight: Any, held: Any, inertia: float) -> None:
        """old (L, H, W) = (total + c held) / (weight + c), c = inertia max(weight); as it is where nothing is known."""

    def update_both(
        self,
        obj: Any,
        corners: Any,
        probe: Any,
        waves: Any,
        alpha: float,
        obj_step: float,
        beta: float,
        probe_step: float,
    ) -> None:
        """Steps of object and probe along the residual of one view, both from what they were."""

    # -- likelihood

    def follow_slope(
        self,
        obj: Any,
        corners: Any,
        illum: Any,
        frames: MeasuredFrames,
        noise: str,
        waves: Any,
        values: Any,
        index: Any,
        fraction: Any = None,
    ) -> None:
        """Put chi = F^-1 [w dL/dIhat Psi] of exit waves illum O into ``waves``, w L summed per view into values (N,).

        index (B,) is where the views stand in ``values``. ``misfit`` counts sum w (sqrt I - sqrt Ihat)^2 of the batch.
        """

    def changes(
        self,
        obj: Any,
        corners: Any,
        illum: Any,
        obj_step: Any,
        illum_step: Any,
        frames: MeasuredFrames,
        noise: str,
        trials: Any,
        out: Any,
        index: Any,
        fraction: Any = None,
    ) -> None:
        """Put sum w [L(t) - L(0)] of each view, at trial steps t (3,) of obj_step and illum_step, into out (N, 3).

        index (B,) is where the views stand in ``out``.
        """

    # -- least squares

    def products(
        self, waves: Any, rows: Any, obj: Any, corners: Any, illum: Any, obj_step: Any, illum_step: Any
    ) -> Any:
        """Return uu, vv, uv, ur, vr of each view, (B, 5): r = waves at rows, u = illum obj_step, v = illum_step O."""

    def lengths(self, products: Any, ridge: float, step: float) -> Any:
        """Return the lengths of the steps of object and probe that fit each view best, (2, B), times ``step``."""

    def light(self, corners: Any, illum: Any, lengths: Any, weight: Any) -> Any:
        """Return sum_j lengths_j S_j, S_j = sum_m |illum_jm|^2 at the views' places, in the shape of weight (H, W)."""

    def transmission(self, obj: Any, corners: Any, lengths: Any, weight: Any) -> Any:
        """Return sum_j lengths_j |O_j|^2, in the shape of weight (n, n)."""

    def add_average(self, target: Any, direction: Any, total: Any, weight: Any) -> None:
        """target (L, H, W) += direction total / weight, where there is weight; direction and weight end as zeros."""

    # -- positions

    def sense_slopes(
        self,
        waves: Any,
        rows: Any,
        obj: Any,
        corners: Any,
        illum: Any,
        light: Any,
        index: Any,
        misfit: Any,
        change: Any,
        most: Any,
        sensed: Any,
    ) -> None:
        """Put what ``signals.fit_numbers`` returns into sensed (N, 7).

        waves at rows (B,) hold the difference to what the data ask for; light (H, W) is that of all views on the
        object. misfit, change and most (N,) and sensed (N, numbers) are float64, written at ``index`` (B,): of each
        view sum |delta|^2, sum |a|^2 with a = sum_m conj(P_m) delta_m, and the largest of sum_m |P_m|^2.
        """
