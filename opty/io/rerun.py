"""Resume a run that stopped from its checkpoint; repeat a finished one and compare."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from opty.data import PtychoData
from opty.errors import FormatError
from opty.files.container import Container
from opty.io.formats import native
from opty.io.formats.kept import Kept, read_kept
from opty.io.registry import identify
from opty.remedies import here, option
from opty.runtime.execute import run

if TYPE_CHECKING:
    from opty.algebra.operator import Operator
    from opty.runtime.checkpoint import PendingRun
    from opty.state import BareState


def resume(
    path: str | Path,
    *,
    data: PtychoData | str | Path | None = None,
    device: str | None = None,
    threads: int | None = None,
    deterministic: bool = False,
) -> BareState:
    """Resume the run of a checkpoint, to the end of its recipe.

    On the CPU the result is, bit for bit, the state that the run would have ended with, with the recipe and history of
    one run. The steps of the recipe work as before: ``Save`` writes to the same file.

    Parameters
    ----------
    path : file written by ``Save``, or by the command line after Ctrl-C.
    data, threads, deterministic : as for ``opty.load``. device : default: the device of the run.

    Raises
    ------
    ValueError : the run of the file is complete. FormatError : the file is no result. RuntimeError : no such device.
    """
    p, unfinished = stopped(path, data=data, device=device, threads=threads, deterministic=deterministic)
    return unfinished.go_on(p)


def stopped(
    path: str | Path,
    *,
    data: PtychoData | str | Path | None = None,
    device: str | None = None,
    threads: int | None = None,
    deterministic: bool = False,
) -> tuple[BareState, PendingRun]:
    """Return the state in a checkpoint, and the run it belongs to; raises what ``resume`` raises."""
    file, kept = _kept(path)
    if kept.unfinished is None:
        raise ValueError(
            f"{file.path} holds a whole result, there is nothing left to do; to do more with it: "
            + here(f"recipe * opty.load({file.path.name!r}), or ", "")
            + f"opty reconstruct {file.path.name} --recipe ... -o more.h5"
        )
    kept.unfinished.check()
    p = native.restored(
        file, kept, data=data, device=device or kept.device, threads=threads, deterministic=deterministic
    )
    p.data.need_frames()
    return p, kept.unfinished


def rerun(
    path: str | Path,
    *,
    start: BareState | str | Path | None = None,
    data: PtychoData | str | Path | None = None,
    device: str | None = None,
    threads: int | None = None,
    deterministic: bool = False,
) -> Repetition:
    """Repeat a result from its data with the recipe that made it, and compare the two.

    Steps that only write files or to the screen (Save, Show, Log, Progress) are left out. The run starts as
    ``PtychoState(data, modes=, seed=, dtype=)`` does; or, where a probe, an object, a margin or
    ``replace`` in Python changed that start, with the start that the result keeps.

    Parameters
    ----------
    path : of the result. start : BareState, or the path of one, to start from instead.
    data, threads, deterministic : as for ``opty.load``. device : default: the device of the run.

    Raises
    ------
    ValueError : no recipe in the result, or a start of another frame. FormatError : the file is no result.
    """
    recipe, begin, original = start_over(
        path, start=start, data=data, device=device, threads=threads, deterministic=deterministic
    )
    return Repetition(run(recipe, begin), original)


def start_over(
    path: str | Path,
    *,
    start: BareState | str | Path | None = None,
    data: PtychoData | str | Path | None = None,
    device: str | None = None,
    threads: int | None = None,
    deterministic: bool = False,
) -> tuple[Operator, BareState, BareState]:
    """Return the recipe of a result without its outputs, the state it started from, and the result."""
    from opty.algebra.operator import Identity
    from opty.runtime.recipe_edit import without_outputs
    from opty.state import BareState, handle

    file, kept = _kept(path)
    device = device or kept.device
    original = native.restored(file, kept, data=data, device=device, threads=threads, deterministic=deterministic)
    if isinstance(original.recipe, Identity):
        raise ValueError(f"{file.path} was made by no recipe (its arrays were put in by hand): nothing to repeat")
    recipe = without_outputs(original.recipe)
    original.data.need_frames()
    if start is None and kept.record["began"] is not None:
        start = native.restored(
            file, kept.at_the_start(), data=original.data, device=device, threads=threads, deterministic=deterministic
        )
    elif start is None:
        own: dict[str, Any] = {"model": original.model, "seed": original.seed, "dtype": original.dtype}
        start = handle()(original.data, **own, device=device, threads=threads, deterministic=deterministic)
    elif not isinstance(start, BareState):
        start = native.restored(
            *_kept(start), data=original.data, device=device, threads=threads, deterministic=deterministic
        )
    frames = original._live.frame_origin, start._live.frame_origin
    if start.obj.shape != original.obj.shape or not np.array_equal(frames[0], frames[1]):
        raise ValueError(
            f"{file.path} has an object of {original.obj.shape} at {frames[0].tolist()}, its start one of "
            f"{start.obj.shape} at {frames[1].tolist()}: give the state that it began with as {option('start')}"
        )
    return recipe, start, original


@dataclass(frozen=True)
class Repetition:
    """A result (``original``) and its repetition (``state``)."""

    state: BareState
    original: BareState

    @property
    def differences(self) -> dict[str, float]:
        """Largest difference of each array and series that differs, relative to its largest value."""
        new, old = _held(self.state), _held(self.original)
        found = {name: float("inf") for name in sorted(new.keys() ^ old.keys())}
        for name in sorted(new.keys() & old.keys()):
            a, b = new[name], old[name]
            if a.shape != b.shape or a.dtype != b.dtype:
                found[name] = float("inf")
            elif a.tobytes() != b.tobytes():
                found[name] = float(np.abs(a - b).max() / max(np.abs(b).max(), np.finfo(float).tiny))
        return found

    @property
    def identical(self) -> bool:
        """Whether the two are the same, bit for bit."""
        return not self.differences

    @property
    def same_start(self) -> bool:
        """Whether the first misfits agree to one percent: if not, the run began with another state."""
        new, old = (p.history.get("misfit", np.zeros(1))[:1] for p in (self.state, self.original))
        return bool(np.allclose(new, old, rtol=1e-2))

    def __str__(self) -> str:
        found = self.differences
        if not found:
            return f"identical: all {len(_held(self.state))} arrays and series agree bit for bit"
        lines = [f"{name} differs by {value:.2g} of its largest value" for name, value in found.items()]
        if not self.same_start:
            lines.append(
                "the first iteration differs already: the run began with another state; rerun it with that start"
            )
        return "\n".join(lines)


def _held(p: BareState) -> dict[str, np.ndarray]:
    """Return all that a state holds, as arrays on the host."""
    held: dict[str, Any] = {name: p.numpy(name) for name in p._live.leaves}
    held |= {f"history {name}": series for name, series in p.history.items()}
    return held | {"iteration": np.array(p.iteration)}


def result_file(path: str | Path) -> Container:
    """Return a file that is a result of opty; FormatError, with the remedy, for any other."""
    file = Container(Path(path))
    if not native.recognise(file):
        raise FormatError(_no_result(file))
    return file


def _kept(path: str | Path) -> tuple[Container, Kept]:
    file = result_file(path)
    return file, read_kept(file)


def _no_result(file: Container) -> str:
    """Return the message about a file that is no result, with the remedy."""
    try:
        name = identify(file, {}).name
    except (FormatError, IsADirectoryError):
        return f"{file.path} is {file.looks()}, not a result of opty"
    first = f"opty reconstruct {file.path} -o result.h5"
    return f"{file.path} is a measurement ({name}), not a result of opty; first: {first}"
