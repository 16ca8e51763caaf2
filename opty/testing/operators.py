"""check_operator: checks that an operator is a value, obeys the laws in a run, and respects its declarations."""

from __future__ import annotations

import functools
import pickle
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from opty.algebra.leaf import with_parts
from opty.algebra.operator import Operator, ViewOperator
from opty.algebra.sweep import Sweep
from opty.algebra.text import from_json, parse
from opty.errors import EffectError, MisfitWarning, RecipeError, RecipeWarning
from opty.geometry import Geometry
from opty.io import load
from opty.io.rerun import Repetition
from opty.model import Element, Model, Slices
from opty.operators import ObjUpdate, ProbeUpdate
from opty.ptycho_state import PtychoState
from opty.recipes import rPIE
from opty.runtime.plan import SweepNode, plan, steps_of, unfused, walk
from opty.simulate import Exposure, experiment
from opty.simulate.objects import random_phase
from opty.simulate.probes import gaussian

N, VIEWS = 16, 7
GEOMETRY = Geometry(wavelength=1e-9, distance=0.016, pixel_size=1e-4)  # pixels of 10 nm at the sample
MODELS: tuple[Model | Element | None, ...] = (None, Slices(2, spacing=5e-7))


def check_operator(
    op: Operator,
    *,
    models: Sequence[Model | Element | str | None] = MODELS,
    start: PtychoState | None = None,
    tolerance: float | None = None,
) -> float:
    """Check an operator, or a recipe, on a small scan of each model: on the CPU, in complex128.

    1. It comes back from pickle, from its repr by ``parse``, and from JSON, equal and with equal hash.
    2. R * (R * p) has the bits of R**2 * p, with the first model through a file too; the state that it starts from
       keeps its bits.
    3. Run as fused kernels and step by step it gives the same, to ``tolerance``.
    4. No step writes an array of the state that it does not declare, by whatever way it gets hold of it. What a step
       reads without declaring it is refused in every run.
    5. A projection of one's own leaves the truth as it is where pixels of exact data are masked.

    R is ``op`` where it makes iterations itself; any other operator is put on the left of ``rPIE(batch=3)``, whose
    sweep a view step joins; a projection, which writes delta from waves, takes the place of FourierProject in a sweep.
    An operator that needs others is checked in a recipe with them. A recipe that needs the
    nearest waves of a model (``DM``) has to refuse a model whose nearest waves are not known.

    Parameters
    ----------
    models : to run with; None for a thin object. start : a state to run on, in place of the small scans: with the
        arrays that the operator reads, say. tolerance : largest difference of fused and unfused, relative to the
        largest value of each array; default: 1e-9, in complex64 1e-3.

    Returns the largest of these differences.
    Raises AssertionError with the fault, and any exception of a run of the recipe.

    Source: the laws are those of docs/algebra.md.
    """
    if _is_projection(op):
        recipe: Operator = Sweep(ProbeUpdate() * ObjUpdate() * op, batch=3)
    else:
        recipe = op if _makes_iterations(op) else op * rPIE(batch=3)
    for value in (op, recipe):
        _check_value(value)
    worst = 0.0
    for k, p in enumerate([small_state(model) for model in models] if start is None else [start]):
        if _is_refused(recipe, p):
            continue
        with warnings.catch_warnings():
            for known in (MisfitWarning, RecipeWarning):
                warnings.simplefilter("ignore", known)
            worst = max(worst, _check_runs(recipe, p, tolerance, through_file=k == 0))
    for step in {s.op for s in _steps(recipe)} if start is None else ():
        if _is_projection(step) and not type(step).__module__.startswith("opty."):
            _check_mask(step)
    return worst


@functools.cache
def small_state(model: Model | Element | str | None = None) -> PtychoState:
    """Return a state of 7 views of 16 x 16 in two modes, counted photons over a background, positions off the pixels.

    The object of a model with L slices is simulated with L slices; the state starts without it.
    """
    rng = np.random.default_rng(1)
    probe = gaussian(N, 6.0) * np.exp(0.02j * np.add.outer(*2 * [(np.arange(N) - N // 2) ** 2]))
    probe = np.array([probe, 0.3 * probe * (np.arange(N) - N // 2) / N])
    positions = 3.0 * np.stack(np.divmod(np.arange(VIEWS), 3), axis=1) + rng.uniform(-1, 1, (VIEWS, 2))
    slices = np.array([random_phase((40, 40), 5.0, seed=k) for k in (0, 1)])
    options: dict[str, Any] = {"geometry": GEOMETRY, "photons": 1e5, "exposure": Exposure(background=0.1)}
    try:
        data = experiment(slices, probe, positions, model=model, **options)
    except ValueError:  # of another number of slices
        data = experiment(slices[0], probe, positions, **options)
    start = {"model": model} if model is not None else {"modes": 2}
    assert data.truth is not None
    guess = (0.9 * data.truth["probe"]).astype(np.complex128)
    return PtychoState(data, probe=guess, dtype="complex128", device="cpu", threads=1, **start)


def _makes_iterations(op: Operator) -> bool:
    return any(isinstance(node, SweepNode) and node.counts for node in walk(plan(op)))


def _is_projection(op: Operator) -> bool:
    reads, writes = op.effects()
    return isinstance(op, ViewOperator) and "delta" in writes - reads and "waves" in reads


def _check_value(value: Operator) -> None:
    for way, again in {
        "pickle": lambda: pickle.loads(pickle.dumps(value)),
        "its repr": lambda: parse(repr(value)),
        "JSON": lambda: from_json(value.to_json()),
    }.items():
        found = again()
        if found != value or hash(found) != hash(value):
            raise AssertionError(f"{value!r} comes back from {way} as {found!r}")


def _is_refused(recipe: Operator, p: PtychoState) -> bool:
    """Say whether a recipe needs nearest waves that the model of a state does not know; it has to refuse it then."""
    if p.model.closed or not any(s.op.needs_closed for s in _steps(recipe)):
        return False
    try:
        _ = recipe * p
    except RecipeError:
        return True
    raise AssertionError(f"{recipe!r} needs the nearest waves of a model and runs with {p.model!r}")


def _check_runs(recipe: Operator, p: PtychoState, tolerance: float | None, through_file: bool) -> float:
    before = p.__deepcopy__({})
    once, twice = recipe * p, recipe**2 * p
    if found := Repetition(p, before).differences:
        raise AssertionError(f"{recipe!r} changes the state that it starts from: {_listed(found)}")
    if found := Repetition(recipe * once, twice).differences:
        raise AssertionError(f"{recipe!r}: R * (R * p) is not R**2 * p: {_listed(found)}")
    if through_file and (found := Repetition(recipe * _kept(once), twice).differences):
        raise AssertionError(f"{recipe!r}: through a file, R * (R * p) is not R**2 * p: {_listed(found)}")
    with unfused(), _watched(recipe):
        by_steps = recipe * p
    found = Repetition(once, by_steps).differences
    worst = max(found.values(), default=0.0)
    limit = (1e-9 if p.dtype == np.complex128 else 1e-3) if tolerance is None else tolerance
    if not worst <= limit:
        raise AssertionError(f"{recipe!r}: fused is not step by step: {_listed(found)}")
    return worst


def _check_mask(op: Operator) -> None:
    """Raise AssertionError where a projection leads away from the truth as masked pixels of exact data are dark."""
    moved = []
    for masked in (False, True):
        p = _exact_state(masked)
        q = Sweep(ObjUpdate() * op, batch=3) * p
        moved.append(float(np.abs(q.obj - p.obj).max()))
    if moved[1] > 10 * moved[0] + 1e-6:
        raise AssertionError(
            f"{op!r}: masked pixels change the object by {moved[1]:.1e} where all others fit, by {moved[0]:.1e} "
            "without a mask; take s.measured.mask_of(b.selection), 1 where a pixel counts, and leave waves elsewhere"
        )


def _exact_state(masked: bool) -> PtychoState:
    """Return the truth as a state of its noise-free measurement, some pixels of which are masked, and hold 0."""
    positions = 3.0 * np.stack(np.divmod(np.arange(VIEWS), 3), axis=1) + 1
    data = experiment(random_phase((30, 30), 5.0, seed=3), 100 * gaussian(N, 4.0), positions, geometry=GEOMETRY)
    assert data.truth is not None
    mask = np.ones((N, N), bool)
    if masked:
        mask[N // 2 - 1 : N // 2 + 2, 4:12] = False
    exact = data.replace(intensities=np.where(mask, data.intensities, 0), mask=mask)
    obj, probe = (data.truth[name].astype(np.complex128) for name in ("obj", "probe"))
    return PtychoState(exact, probe, obj, dtype="complex128", device="cpu", threads=1)


def _kept(p: PtychoState) -> PtychoState:
    """Return a state as its result file gives it back."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "kept.h5"
        p.save(path)
        return load(path, data=p.data, device=p.device, threads=p.threads, deterministic=p.deterministic)


def _listed(found: dict[str, float]) -> str:
    return ", ".join(f"{name} by {value:.1e} of its largest value" for name, value in found.items())


def _steps(recipe: Operator) -> list[Any]:
    with unfused():
        return list(steps_of(plan(recipe)))


@contextmanager
def _watched(recipe: Operator) -> Iterator[None]:
    """Look at all arrays of the state before and after each step of a recipe."""
    classes = {type(s.op) for s in _steps(recipe)}
    replaced = []
    for cls in classes:
        for name in ("begin", "apply", "finish"):
            if hasattr(cls, name):
                replaced.append((cls, name, cls.__dict__.get(name)))
                setattr(cls, name, _looked_at(getattr(cls, name)))
    try:
        yield
    finally:
        for cls, name, old in replaced:
            if old is None:
                delattr(cls, name)
            else:
                setattr(cls, name, old)


def _looked_at(method: Any) -> Any:
    """Return a method of a step that refuses to change what the step does not declare."""

    @functools.wraps(method)
    def looked_at(self: Operator, s: Any, *batch: Any) -> Any:
        leaves = s.store.leaves
        declared = with_parts(self.effects()[1] | self.frees)
        held = {name: (array, array.copy()) for name, array in leaves.items() if name not in declared}
        out = method(self, s, *batch)
        for name, (array, copy) in held.items():
            now = leaves.get(name)
            if now is not array or not np.array_equal(now, copy, equal_nan=True):
                raise EffectError(f"{self!r} writes {name!r} without declaring it; add it to writes= in its class line")
        if new := sorted(leaves.keys() - held.keys() - declared):
            raise EffectError(f"{self!r} makes {new[0]!r} without declaring it: slots=opty.Leaf({new[0]!r}, ...)")
        return out

    return looked_at
