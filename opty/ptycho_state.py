"""PtychoState: the class of states that users work with. It runs recipes, and can be saved and drawn."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

from opty.algebra.operator import Operator
from opty.analysis.start_doubt import doubtful_start, pointless
from opty.data import PtychoData
from opty.data.inverted_mask import inverted
from opty.data.measurement import DRAWN_BY
from opty.errors import StartWarning, warn_user
from opty.io.saving import save
from opty.io.source import can_link
from opty.remedies import in_python
from opty.runtime.execute import run, turns
from opty.runtime.explain import Explanation, explain
from opty.state.bare_state import HANDLES, LEFT_BEHIND, OPEN_WITH, BareState

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from opty.plot.picture import Picture


_OPTY = str(Path(__file__).parent) + os.sep
_ALGEBRA = _OPTY + "algebra" + os.sep  # through which recipe * p comes


class PtychoState(BareState):
    """Object, probe and positions being estimated from a measurement, with everything needed to go on exactly.

    ``recipe * p`` returns a new state and leaves this one as it is. The arrays that it hands out (``obj``, ``probe``,
    ``positions``, ``intensity_factors``, those in ``slots`` and ``arrays``) never change either: on the
    CPU they are read-only and share the memory of the state; on a GPU, where no array can be read-only, each is a copy,
    made when it is read, and writing into it changes no state.

    Parameters
    ----------
    data : PtychoData.
    probe : (M, n, n) or (n, n) complex, centred in its array, in units of sqrt(photons); default: the starting probe of
        the data, or the focused probe that their mean pattern implies, at the power of the brightest view. A probe that
        is given keeps its power until a run improves object and probe together (docs/algebra.md on their scale).
    obj : (H, W) complex transmission; when given, positions are window corners in its frame, else a frame with a margin
        is chosen and the object starts at one.
    margin : pixels left around the scan for views that position refinement will move there; default: a quarter of a
        pattern. Windows cannot leave the frame.
    modes : incoherent probe modes M; default: as many as the probe has, else one.
    seed : of every random choice, together with the iteration number.
    dtype : "complex64" or "complex128".
    device : "cpu" or "gpu"; default: the GPU where there is one.
    threads : of the CPU, which share the work; default: one for each core. Results are the same bits for any number.
    deterministic : whether a GPU sums over views in the same order every time, so that a run repeats bit for bit, more
        slowly than with atomic additions. The CPU always does.
    comm : a communicator of mpi4py, whose ranks share the views; all make the state with the same arguments
        (docs/clusters.md). Default: this process has all views.

    Attributes: ``obj``, ``probe``, ``positions`` (N, 2) float64 px (window corners), ``background`` (n, n) or None,
    ``intensity_factors`` (N,) or None, ``data``, ``history``, ``iteration``, ``recipe``, ``seed``, ``slots`` (memory of
    operators), ``device``, ``dtype``.

    Raises
    ------
    ValueError, TypeError : shapes that do not agree, an object too small for the positions; RuntimeError : no GPU.
    """

    __slots__ = ()

    runs_recipes: ClassVar[bool] = True  # ``recipe * p`` leaves the work to this class

    def __rmul__(self, recipe: Any) -> PtychoState:
        if isinstance(recipe, str):
            raise TypeError(f"{recipe!r} * p: a recipe as text is read by opty.parse: opty.parse({recipe!r}) * p")
        if not isinstance(recipe, Operator):
            return NotImplemented
        self._doubt_the_start()
        return cast(PtychoState, run(recipe, self))  # runs make the class registered below

    def _turns(self, recipe: Operator) -> Iterator[PtychoState]:
        self._doubt_the_start()
        return cast(Iterator[PtychoState], turns(recipe, self))

    def _doubt_the_start(self) -> None:
        """Warn, at the first run, of a mask that seems to be inverted, and of data that make a run pointless.

        The latter once for the same data, and not on the command line, which says it before, nor in runs that opty
        makes of its own. Of a state that nothing was put into, warn too where its starting probe cannot be right.
        """
        store = self._live
        if store.ranks.rank > 0 or store.iteration > 0 or self.data.absent is not None:
            return
        if (why := inverted(self.data.intensities, self.data.mask)) is not None:
            warn_user(why, UserWarning)
        elif self.data.truth is None and self._first_look() and (wrong := self._pointless()):
            warn_user(f"a run with these data is pointless: {'; '.join(wrong)}", StartWarning)
        elif store.start is None and (why := doubtful_start(self.data)) is not None:
            warn_user(why, StartWarning)

    def _first_look(self) -> bool:
        """Say whether this run is the first with its data, in one process, and one that a user began in Python."""
        return self._live.ranks.size == 1 and in_python() and _asked_by_user() and self.data.first_look()

    def _pointless(self) -> tuple[str, ...]:
        """What is wrong with the data, with what was put into the state in the place of what they brought."""
        data = self.data
        if self._live.start is not None:
            corners = self.numpy("positions") * (data.pixel or 1.0)
            data = data.replace(probe=self.numpy("probe"), positions=corners)
        return pointless(data)

    def _explain(self, recipe: Operator) -> Explanation:
        return explain(recipe, self)

    def _without_frames(self) -> PtychoData:
        return self.data.without_frames(LEFT_BEHIND, OPEN_WITH, source=can_link(self.data))

    def save(self, path: str | Path) -> None:
        """Write the state to a result file that ``opty.load`` reads back; see ``opty.save``."""
        save(path, self)

    def plot(self) -> Figure:
        """Return a matplotlib figure: object, probe modes, positions and error curve."""
        from opty.plot import overview

        return overview(self)

    def _repr_png_(self) -> bytes | None:
        """The pictures of the state, for notebooks; None where matplotlib is not installed."""
        try:
            import matplotlib  # noqa: F401
        except ImportError:
            return None
        picture = cast("Picture", self.plot())
        png = picture.png()
        picture.close()  # else a notebook shows it again at the end of the cell
        return png


def _asked_by_user() -> bool:
    """Say whether a run was begun by code outside opty, and is not one that opty makes of its own, as a trial."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith((__file__, _ALGEBRA)):
        frame = frame.f_back
    return not frame.f_code.co_filename.startswith(_OPTY)


def _drawn(data: PtychoData) -> Figure:
    from opty.plot import data as draw

    return draw(data)


HANDLES.append(PtychoState)
DRAWN_BY.append(_drawn)
