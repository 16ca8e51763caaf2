"""The start of a reconstruction on the command line: recipe, model, state and starting probe."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from opty.cli.options import given
from opty.remedies import option

if TYPE_CHECKING:
    import numpy as np

    from opty.algebra.operator import Operator
    from opty.analysis import Findings
    from opty.analysis.check.frame_statistics import Frames
    from opty.data import PtychoData
    from opty.model import Model
    from opty.ptycho_state import PtychoState
    from opty.state import BareState

DEFAULT_RECIPE = "ScaleObjProbe() * rPIE()**30"
PROBE_WORDS = ("search", "mean")  # of --probe, beside files
SEVERAL_HELP = 0.5  # times the excess with one mode: less with three says that the beam has several
UNEXPLAINED = 0.4  # excess of the views held out in the search; of good scans it is below 0.1, of a real one 0.33
FEWEST_TO_JUDGE = 48  # views: with fewer, those held out have few others all round
FEWEST_TO_SEARCH = 12  # views: with fewer, the fifth held out is too small to decide


def recipe_of(text: str | None, file: Path | None) -> Operator:
    """Return the recipe of a command, from one of its two options; nothing in it is evaluated."""
    from opty import from_json, parse

    if text is not None and file is not None:
        raise click.UsageError("--recipe and --recipe-file exclude each other: give one of them")
    if file is None:
        return parse(DEFAULT_RECIPE if text is None else text)
    found = file.read_text()
    return from_json(found) if found.lstrip().startswith("{") else parse(found)


def model_of(text: str | None, modes: int | None) -> Model | None:
    """Return the model of a command; nothing in its text is evaluated."""
    from opty.model import parse

    if text is None:
        return None
    if modes is not None:
        raise click.UsageError(f"--modes {modes} beside --model: write Probe(modes={modes}) in the model")
    return parse(text)


def started(
    file: Path,
    load: dict[str, Any],
    *,
    modes: int | None,
    model: Model | None,
    seed: int | None,
    force: bool,
    check: bool,
    probe: str | None,
    recipe: Operator,
    quiet: bool,
    **machine: Any,
) -> tuple[PtychoState, tuple[str, ...]]:
    """Load a measurement into a new state, or a result as it is; return the state and doubts about the measurement.

    ``machine`` is how to compute; what ``recipe`` refines or estimates is not doubted. A measurement of which a
    reconstruction is pointless is refused, unless ``force``.
    """
    import opty
    from opty.analysis import Findings, quick_look
    from opty.analysis.check.findings import of_exposures
    from opty.analysis.check.frame_statistics import look_at_frames
    from opty.analysis.check.health import tried_out
    from opty.analysis.check.in_brief import ways_in_brief
    from opty.analysis.check.near_field import taken_as_far
    from opty.analysis.check.near_positions import near_positions
    from opty.analysis.coverage import is_near
    from opty.model.complete import complete

    moves, lights = moves_views(recipe), _changes(recipe, "intensity_factors")
    machine, start = given(machine), given({"modes": modes, "model": model, "seed": seed})
    loaded = opty.load(file, **load)
    if isinstance(loaded, opty.PtychoData):
        frames = look_at_frames(loaded)
        exposures = of_exposures(frames.exposures).warnings
        found = quick_look(loaded, frames)
        estimated = frozenset(leaf for leaf in ("intensity_factors", "background") if _changes(recipe, leaf))
        tried = tried_out(loaded, not moves, estimated) if check and found.ok else Findings()
        if model is not None and not model.thin:  # the short runs have a thin object: what they doubt may be that
            tried = Findings(tried.problems)
        found += tried
        far = not is_near(loaded)
        if found.ok and not check:
            tried = taken_as_far(loaded, frames)
            if not tried.problems and loaded.absent is None:
                told = near_positions(loaded, frames, one_by_one=not moves)
                tried += ways_in_brief(loaded, frames) if told is None else told
            found += tried
        _refuse(file, found, force)
        if loaded.probe is not None and probe is not None:
            raise ValueError(f"{file} has a starting probe: leave --probe {probe} out")
        for element in complete(model, loaded.geometry, loaded.n, modes).elements:
            element.check_measurement(loaded)  # what does not fit is refused before the search
        if loaded.probe is None and probe != "mean" and (far or probe == "search"):
            start["probe"] = _found_probe(file, loaded, frames, modes or 1, quiet, machine.get("threads"), exposures)
            found = quick_look(loaded.replace(probe=start["probe"]), frames) + tried  # some doubts were about its size
        if found.ok and not check and (model is None or model.thin):
            found += _said_of_places(loaded, frames, start.get("probe"), moves)
            _refuse(file, found, force)
        doubts = tuple(line for line in found.every if not (lights and line in exposures))
        return opty.PtychoState(loaded, **start, **machine), doubts
    for name, value in (start | given({"probe": probe})).items():
        raise ValueError(
            f"{file} is a result, which goes on with its own {name}: leave {option(name, value)} out, or reconstruct "
            "the measurement that it was made from"
        )
    result = opty.load(file, **machine, **load) if machine else loaded
    return result, doubts_of(file, result)


def _refuse(file: Path, found: Findings, force: bool) -> None:
    """Raise ValueError for a measurement of which a reconstruction is pointless, unless ``force``."""
    if found.problems and not force:
        why = "; ".join(found.problems) + "; --force does it all the same" * (not found.impossible)
        raise ValueError(f"a reconstruction of {file} would be pointless: {why}")


def _found_probe(
    file: Path,
    data: PtychoData,
    frames: Frames,
    modes: int,
    quiet: bool,
    threads: int | None,
    exposures: tuple[str, ...],
) -> np.ndarray | None:
    """Return the starting probe that a search finds, None where there are too few views; print the result.

    Bad pixels, and a constant beside the light, are not taken for several modes. ``modes`` : of the run to come.
    ``exposures`` : what was said of two exposures, which explain views that no probe predicts.
    """
    from tqdm import tqdm

    from opty.analysis import find_probe
    from opty.analysis.check.pedestal import floor_of
    from opty.analysis.check.trials import Trials, searched_excess
    from opty.state.start import check_light

    if data.views < FEWEST_TO_SEARCH:
        click.echo(
            f"{file} has no starting probe, and too few views to search for one: the run starts from a focus", err=True
        )
        return None
    with tqdm(desc="starting probe", unit="curvature", disable=quiet, leave=False) as bar:

        def tell(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        check_light(data, "complex64")  # before what is bad is left out
        data = Trials(data, frames).data
        found = find_probe(data, threads=threads, tell=tell)
    if not quiet:
        focus = found.defocus
        where = f"curvature {found.curvature:.4g} px^2" if focus is None else f"defocus {focus:.4g} m"
        doubt = "" if found.decided else "; others do nearly as well"
        click.echo(
            f"{file} has no starting probe; a search found one: {where} predicts held-out views best (misfit "
            f"{found.score:.4g}{doubt})",
            err=True,
        )
    if (
        data.views >= FEWEST_TO_JUDGE
        and not exposures
        and (said := _unexplained(*searched_excess(data, found, threads), modes))
    ):
        other = floor_of(data, frames, found.probe).warnings
        click.echo(f"Warning: {other[0] if other else said}", err=True)
    return found.probe


def _unexplained(one: float, several: float, modes: int) -> str | None:
    """Return what to say of views that no starting probe predicts, with one mode and with several; None for nothing."""
    if one <= UNEXPLAINED:
        return None
    if several < SEVERAL_HELP * one:
        if modes > 1:
            return None
        return (
            f"the beam seems to have several modes: of what differs from the mean pattern, {one:.0%} is missed in "
            f"held-out views with one mode and {max(several, 0):.0%} with three: give --modes 3"
        )
    return (
        f"from no starting probe are held-out views predicted well: {one:.0%} of what differs from the mean pattern is "
        "missed. The orientation, order, unit or scale of the positions may be wrong, or each by some pixels, or the "
        "numbers no counts: opty check finds out; or the beam has several modes (--modes 3)"
    )


def _said_of_places(data: PtychoData, frames: Frames, probe: np.ndarray | None, moves: bool) -> Findings:
    """Return what short runs say of the positions, from the starting probe, in the far field and cone beams.

    ``ways_in_brief`` has looked at the order of the frames already where the data have a starting probe.
    """
    from opty.analysis import Findings
    from opty.analysis.check.in_brief import orders_in_brief
    from opty.analysis.check.view_places import places_in_brief
    from opty.analysis.coverage import is_near

    searched, probe = probe is not None, data.probe if probe is None else probe
    if probe is None or is_near(data) or data.absent is not None or data.views < FEWEST_TO_JUDGE:
        return Findings()
    if searched and (told := orders_in_brief(data, frames, probe)).problems:
        return told
    return places_in_brief(data, frames, probe, one_by_one=not moves)


def moves_views(recipe: Operator) -> bool:
    """Say whether a recipe refines positions."""
    return _changes(recipe, "positions")


def _changes(recipe: Operator, leaf: str) -> bool:
    from opty.runtime.nodes import steps_of
    from opty.runtime.plan import plan

    return any(leaf in step.op.effects()[1] for step in steps_of(plan(recipe)))


def doubts_of(result: Path, p: BareState) -> tuple[str, ...]:
    """Return what is to be said of the measurement of a result that goes on: what the result says, or a look at it.

    After an iteration doubts about the size of a starting probe are over: the state has a probe of its own.
    """
    from opty.analysis import quick_look
    from opty.analysis.check.findings import NEEDS_START

    begun = p.iteration > 0
    said = tuple(line for line in said_of(result) if not (begun and NEEDS_START in line))
    return said or quick_look(p.data.replace(probe=p.numpy("probe")) if begun else p.data).every


def said_of(result: Path) -> tuple[str, ...]:
    """Return the warnings in a result of opty about its measurement."""
    from opty.files.container import Container
    from opty.io.formats.native import attention, recognise

    file = Container(result)
    return attention(file) if recognise(file) else ()
