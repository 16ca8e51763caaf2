"""What does a model lack whose fit stays above the noise? Runs with more in the model, on pixels held out, tell."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from opty.algebra.operator import Operator
from opty.analysis.check.two_runs import AS_IT_IS, HeldRun, HeldRuns, Start
from opty.analysis.coverage import is_near
from opty.data import PtychoData
from opty.geometry import Geometry
from opty.model import Blur, FlyScan, Model, Object, Probe, Slices, parse
from opty.operators import BackgroundUpdate, Refine
from opty.recipes import rPIE
from opty.remedies import here, option

SWEEPS = 20  # until states have come apart
MORE_MODES = 2
TURNS = 20.0  # pixel^2 / wavelength between two slices
WORTH = 0.15  # of the deviance of held-out pixels: what a model must gain
EXCESS = 0.5  # of the deviance above that of counting noise: what a model may leave; right thin ones left 0.6 and more
LEVEL = 0.5  # counts a pixel of a background: fits of amplitudes put dim pixels off by up to a quarter
CLEAR = 1.5  # times the deviance of the best, from which on a second one is behind it for certain
ENGINE = rPIE(alpha=0.1)
FARTHEST = 5e-5  # m, the detector pixel of a made-up geometry


@dataclass(frozen=True)
class Cause:
    """What a measurement may hold that a model lacks: in words, ``remedy`` as it is given, how a run tries it."""

    words: str
    remedy: str
    start: Start = AS_IT_IS
    recipe: Operator = ENGINE


def of_lacking(
    part: PtychoData, probe: np.ndarray, pixel: float | None, wavelength: float | None, counts: bool
) -> str | None:
    """Say which models predict pixels held out better than a thin object under a steady probe; None for nothing.

    Runs from one probe (M, n, n), on a part of a scan without six percent of its pixels: as it is, and with each of
    ``causes``. ``pixel`` : at the sample [m], ``wavelength`` [m]; None without a geometry. ``counts`` : the numbers
    are counts, whose noise is known.
    """
    runs = HeldRuns(part, probe)
    before = runs.run(ENGINE**SWEEPS)
    if before is None:
        return None
    gains: dict[float, Cause] = {}
    for cause in causes(runs.data, len(probe), part.n, pixel, wavelength):
        after = runs.run(cause.recipe**SWEEPS, cause.start)
        if after is not None and _better(before, after, counts):
            gains[after.beside(before).ratio] = cause
    return _said(gains) if gains else None


def as_well(part: PtychoData, probe: np.ndarray, model: Model) -> str | None:
    """Name what predicts pixels held out about as well as a mixture of objects: what moves or blurs looks like one.

    Runs from one probe (M, n, n), on a part of a scan without six percent of its pixels: with ``model``, with a thin
    object, and with each of ``causes`` that is no mixture. None where all are clearly behind, or the first diverges.
    """
    runs = HeldRuns(part, probe)
    first = runs.run(ENGINE**SWEEPS, Start(model=model))
    if first is None:
        return None
    others = [Cause("one object under a steady beam", ""), *causes(runs.data, len(probe), part.n, None, None)]
    for cause in others:
        if cause.start.model is not None and cause.start.model.mixture:
            continue
        after = runs.run(cause.recipe**SWEEPS, cause.start)
        if after is not None and first.deviances.sum() > (1 - WORTH) * after.deviances.sum():
            ratio = after.deviances.sum() / first.deviances.sum()
            return f"{cause.words} instead of states predicts them about as well ({ratio:.2g} times the deviance)"
    return None


def _better(before: HeldRun, after: HeldRun, counts: bool) -> bool:
    """Whether a second run predicts pixels held out better for certain, and by more than a shorter run would."""
    found = after.beside(before)
    if not (found.sure and found.ratio < 1 - WORTH):
        return False
    background = after.state.background
    if counts and background is not None and float(after.state.numpy("background").mean()) < LEVEL:
        return False
    return not counts or after.above < EXCESS * before.above


def causes(part: PtychoData, modes: int, n: int, pixel: float | None, wavelength: float | None) -> Iterator[Cause]:
    """Yield what may be tried on a part of a scan; ``n``, ``pixel`` and ``wavelength`` are of the measurement."""
    beside = f" * {Probe(modes=modes)!r}" if modes > 1 else ""

    def model(element: object) -> tuple[str, Model]:
        text = f"{element!r}{beside}"
        return here(f"model={text}", f'--model "{text}"'), parse(text)

    def recipe(step: str) -> str:
        return here(f"({step} * rPIE()) ** 60", f'--recipe "({step} * rPIE())**60"')

    yield Cause("several modes of the beam", option("modes", modes + MORE_MODES), Start(modes=modes + MORE_MODES))
    said, states = model(Object(states=2))
    yield Cause("a sample that fluctuates between states", said, Start(model=states))
    if part.background is None:
        yield Cause("a background", recipe("BackgroundUpdate()"), recipe=BackgroundUpdate(shape="flat") * ENGINE)
    said, blurred = model(Blur(1.0))
    yield Cause("a detector or a source that blurs the patterns", said, Start(model=blurred))
    if FlyScan(3).doubt(part) is None:  # views in the order of a way
        said, moving = model(FlyScan(3))
        refined = recipe("Refine('travel')")
        words = "a stage that moves during the exposure"
        yield Cause(words, f"{said}, and {refined}", Start(model=moving), Refine("travel") * ENGINE)
    if pixel is None or wavelength is None or is_near(part):
        return
    shown = pixel * n / part.n
    wanted = Slices(2, float(f"{TURNS * shown**2 / wavelength:.2g}"))
    geometry = Geometry(wavelength, part.n * shown * FARTHEST / wavelength, FARTHEST)
    said, thick = model(wanted)
    refined = recipe("Refine('spacing')")
    yield Cause("a thick sample", f"{said}, and {refined}", Start(model=thick, geometry=geometry))


def _said(gains: dict[float, Cause]) -> str:
    """Name the causes, the best first."""
    order = sorted(gains)
    best, others = gains[order[0]], [f"{gains[ratio].words} ({ratio:.2g} times)" for ratio in order[1:]]
    said = f"the deviance of pixels held out is {order[0]:.2g} times with {best.words}: {best.remedy}"
    if not others:
        return said
    if order[1] > CLEAR * order[0]:
        return f"{said}; {', '.join(others)} predict them less well"
    close = [gains[ratio] for ratio in order if ratio <= CLEAR * order[0]]
    named = "; ".join(f"{c.words} ({r:.2g} times): {c.remedy}" for r, c in zip(order, close, strict=False))
    return f"the pixels held out do not tell which of these the model lacks: {named}"
