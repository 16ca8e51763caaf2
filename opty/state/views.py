"""Batch: the views that a sweep processes together; it ends with its turn in the sweep."""

from __future__ import annotations

import math
from collections.abc import Iterator
from copy import copy
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from opty.kernels.cpu_engine import CpuEngine
from opty.kernels.engine import Engine
from opty.model.detection import put_modulus
from opty.model.views import ModelViews
from opty.state.store import Store


class Opened(NamedTuple):
    """The settings with which batches open.

    Names of leaves; whether ``illum`` is read after the probe has changed in place; the kernels of fused steps, where
    they may be used; the leaves whose sums the steps need (``Batch.gather``).
    """

    names: tuple[str, ...] = ()
    own_illum: bool = False
    engine: Engine | None = None
    wanted: frozenset[str] = frozenset()


class Batch(ModelViews):
    """The views of one batch: index, windows, exit waves.

    Leaves: index (B,), patches (B, n, n) object windows, illum (B or 1, M, n, n) the probe as each view sees it, waves
    (B, S, n, n), delta (B, S, n, n). ``patches`` and ``illum`` are made on first access, or copied when the batch
    opens, if ``opened`` requires it.
    ``corners`` (B, 2) int are the whole-pixel windows nearest to the positions, ``fraction`` (B, 2) the remainder of
    the positions, in [-1/2, 1/2]; None where all positions of the sweep are whole. ``brightness`` (B, 1, 1) real is
    the root of the views' intensity factors, which multiplies the probe; None where there are none. ``source``: the
    waves for fused steps: an array of waves, and the rows (B,) of the views in it. ``sweep`` : see ``ModelViews``.
    """

    def __init__(
        self,
        store: Store,
        index: Any,
        number: np.ndarray,
        corners: Any,
        fraction: Any,
        opened: Opened | None = None,
        sweep: dict[Any, Any] | None = None,
    ):
        super().__init__(frozenset() if opened is None else opened.wanted)
        self.store, self.engine = store, None if opened is None else opened.engine
        self.model, self.backend, self.n, self.dtype = store.model, store.backend, store.n, store.dtype
        self.threads, self.estimates = store.threads, store.leaves
        self.sweep = {} if sweep is None else sweep
        if "optics" not in self.sweep:
            self.sweep["optics"] = store.optics()
        (self.geometry, self.propagator), self.deterministic = self.sweep["optics"], store.deterministic
        self.number = number  # of each view, on the host
        self.size = len(number)
        self.corners, self.fraction = corners, fraction
        self.leaves = self.fields
        self.leaves["index"] = index
        factors = store.leaves.get("intensity_factors")
        self.brightness = None if factors is None else _roots(factors[self.selection], store.real_dtype)
        self.misfit: Any = None
        self.source: tuple[Any, Any] | None = None
        if opened is not None:
            for name in opened.names:
                self.opened(name)
            if opened.own_illum and self.fraction is None and self.brightness is None:
                self.leaves["illum"] = self.illum.copy()

    @classmethod
    def at(cls, store: Store, number: np.ndarray, positions: Any = None, whole: bool = False) -> Batch:
        """Return a batch of some views (B,), at ``positions`` (B, 2) px where they are given; ``whole``: all are."""
        index = store.backend.asarray(number)
        positions = store.leaves["positions"][index] if positions is None else positions
        return cls(store, index, number, *placed(store, positions, whole))

    @cached_property
    def middle(self) -> Any:
        """See ``ModelViews``."""
        return self.backend.asarray(self.store.middle)

    @cached_property
    def selection(self) -> Any:
        """The views as an index into arrays of all views, on the device."""
        return _as_slice(self.number, self.leaves["index"])

    def release(self) -> None:
        """Free what the batch made for its steps, once all have run."""
        self.fields.clear()
        for name in ("illum_power", "patch_power", "ramp"):
            self.__dict__.pop(name, None)
        self.memory, self.incident, self._memories = {}, None, None
        self.forget_sums()

    def add_misfit(self, squares: Any) -> None:
        """Add to the misfit of the batch, sum w (sqrt I - sqrt Ihat)^2, a scalar on the device."""
        self.misfit = squares if self.misfit is None else self.misfit + squares

    def misfit_of_waves(self) -> Any:
        """Return sum w (sqrt I - sqrt Ihat)^2 of the current exit waves, a scalar on the device."""
        made = "waves" in self.leaves
        there = self.at_detector(self.leaves["waves"] if made else self.exit_waves(), not made)
        return self.put_modulus(there, self.store.incoherent, True)

    def measured(self, predicted: Any) -> Any:
        """Return the measured intensities (B, n, n) with which predicted ones, background included, are compared."""
        found = self.store.measured.intensity_of(self.selection).astype(self.real_dtype)
        return self.compared(found, predicted) if self.model.detection else found

    def put_modulus(self, there: Any, background: Any, difference: bool) -> Any:
        """Put the measured modulus on detector waves (B, S, n, n), in place, or the difference that this makes.

        ``background`` (n, n) or None. Returns sum w (sqrt I - sqrt Ihat)^2 of the waves given, a scalar on the device.
        """
        measured = self.store.measured
        data = measured.intensity_of(self.selection), measured.mask_of(self.selection), background, difference
        if self.model.detection:
            return put_modulus(self, there, *data)
        return self.backend.fourier_modulus(there, *data)

    def as_seen(self, probe: Any) -> Any:
        """Return a probe, or a change of it, (M, n, n) as each view sees it: (B or 1, M, n, n)."""
        if probe.ndim == 4 and len(probe) == 1:
            probe = probe[0]
        if self.fraction is None or self.engine is None or probe.ndim == 4:
            return super().as_seen(probe)
        seen = self.engine.shifted(probe, self.fraction)
        return seen if self.brightness is None else seen * self.brightness[:, None]

    def shift(self, spectrum: Any) -> Any:
        """Return waves (B, M, n, n) moved by ``fraction``, from their spectrum (B or 1, M, n, n); may overwrite it."""
        if not isinstance(self.engine, CpuEngine) or len(spectrum) != self.size:
            return super().shift(spectrum)
        self.engine.shift_each(spectrum, self.fraction)
        return self.backend.ifft2(spectrum, True, self.threads)

    def unshifted(self, waves: Any) -> Any:
        """Return the spectra of waves (B, M, n, n), each moved back by ``fraction``; may overwrite them."""
        if not isinstance(self.engine, CpuEngine) or len(waves) != self.size:
            return super().unshifted(waves)
        spectra = self.backend.fft2(waves, True, self.threads)
        self.engine.shift_each(spectra, -self.fraction)
        return spectra

    def on_probe(self, waves: Any) -> Any:
        """Return sum_j conj(O_j) waves_j (M, n, n), the adjoint of ``as_seen`` times the patches; keeps the waves."""
        if self.engine is None or self.fraction is None or self.brightness is not None:
            return super().on_probe(waves)
        rows = self.engine.rows(self.size)
        below = self.xp.stack([rows * self.n, 0 * rows], axis=1)  # the windows, one below the other, are an object too
        return self.engine.on_probe(waves, rows, self.patches.reshape(-1, self.n), below, self.fraction)


class ViewBatches:
    """The batches of a sweep, in their order, with corners and fractions of all views computed at once.

    Parameters: ``batches``, the numbers (B,) of the views of each; ``whole``: all positions are whole pixels;
    ``still``: none changes before the sweep ends; ``opened``: what each batch opens with.
    """

    def __init__(
        self, store: Store, batches: list[np.ndarray], whole: bool, still: bool = True, opened: Opened | None = None
    ):
        self.store, self.batches, self.whole, self.opened = store, batches, whole, opened
        numbers = np.concatenate(batches) if batches else np.zeros(0)
        self.index = store.backend.asarray(numbers.astype(np.int64, copy=False))
        self.places = self._placed(self.index) if still else None

    def part(self, some: slice, views: slice) -> ViewBatches:
        """Return some of the batches, with the slice ``views`` of their views and copied places; needs ``still``."""
        part = copy(self)
        part.batches = self.batches[some]
        part.index, corners, fraction = (None if a is None else a[views].copy() for a in self._arrays())
        part.places = corners, fraction
        return part

    def follow(self, other: ViewBatches, some: slice, views: slice) -> None:
        """Take over part of other batches of the same sizes; all is written into the same arrays."""
        self.batches = other.batches[some]
        for old, new in zip(self._arrays(), other._arrays(), strict=True):
            if old is not None:
                old[...] = new[views]

    def __iter__(self) -> Iterator[Batch]:
        first, sweep = 0, {}  # type: ignore[var-annotated]
        for number in self.batches:
            some = slice(first, first + len(number))
            first, index = some.stop, self.index[some]
            corners, fraction = self._placed(index) if self.places is None else self.places
            if self.places is not None:
                corners, fraction = corners[some], None if fraction is None else fraction[some]
            yield Batch(self.store, index, number, corners, fraction, self.opened, sweep)

    def _arrays(self) -> tuple[Any, ...]:
        return self.index, *(self.places or ())

    def _placed(self, index: Any) -> tuple[Any, Any]:
        return placed(self.store, self.store.leaves["positions"][index], self.whole)


def placed(store: Store, positions: Any, whole: bool) -> tuple[Any, Any]:
    """Return corners (B, 2) int and fraction (B, 2), None where ``whole``, of positions (B, 2) px.

    Corners always lie inside the object: positions outside, which end a run, are clipped to the edge.
    """
    return store.backend.placed(positions, store.largest_corner, whole)


def _roots(factors: Any, dtype: Any) -> Any:
    """Return the roots (B, 1, 1) of intensity factors (B,)."""
    return (factors**0.5).astype(dtype)[:, None, None]


def memory_batch(store: Store) -> int:
    """Return the number of views whose waves fit the caches of the cores, or a share of the device memory.

    A probe that varies is as large for each view as its waves.
    """
    wave_bytes = math.prod(store.wave_shape) * store.dtype.itemsize * (2 if store.model.varies else 1)
    return max(1, min(store.data.views, store.backend.batch_memory(store.threads) // wave_bytes))


def all_whole(store: Store) -> bool:
    """Return whether all positions are whole pixels, so that no probe has to be shifted."""
    positions = store.leaves["positions"]
    return bool((positions == store.xp.rint(positions)).all())


def sweep_batches(store: Store, some: bool = False) -> Iterator[Batch]:
    """Yield all views in scan order, to evaluate a state without changing it.

    ``some`` : those of this rank are enough, because sums are made over ranks; ValueError for a spread state otherwise.
    """
    if store.ranks.size > 1 and not some:
        raise ValueError("the views of this state are spread over ranks: p.gather() puts them together on the first")
    size = memory_batch(store)
    order = [np.arange(first, min(store.data.views, first + size)) for first in range(0, store.data.views, size)]
    with store.measured.along(order):
        yield from ViewBatches(store, order, all_whole(store))


def _as_slice(index: np.ndarray, device_index: Any) -> Any:
    """A run of neighbouring views as a slice, which copies nothing; other views by their numbers on the device."""
    if not len(index):
        return slice(0, 0)
    first, last = int(index[0]), int(index[-1])
    if last - first == len(index) - 1 and (len(index) == 1 or bool((np.diff(index) == 1).all())):
        return slice(first, last + 1)
    return device_index
