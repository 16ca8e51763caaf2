"""Serve: a page in the browser that shows the state along a run, and from which the run is paused, ended and saved."""

from __future__ import annotations

import functools
import time
from typing import Any

import numpy as np

from opty.algebra.protocols import State
from opty.files.atomic import check_target
from opty.io.formats.native import checkpoint
from opty.io.writing import check_suffix
from opty.live.board import Asked
from opty.live.server import announce, serving
from opty.live.shown import ShownRun
from opty.live.snapshot import Snapshot
from opty.operators.observers import Observer, filled
from opty.state import BareState, handle

SAVED_TO = "opty_live.h5"


class Serve(Observer):
    """Show the run as a page in the browser: object, probe, positions, error curve, rate, time left (docs/live.md).

    Its address, with a token that whoever looks must have, is printed where the run begins. Buttons pause the run, end
    it after the turn under way (the state is returned, with a warning), and save it. Pictures are taken between sweeps,
    when somebody looks, and as seldom as it takes for them to cost about a hundredth of the run's time. At the end the
    page shows the result, until the process ends.

    Parameters
    ----------
    path : result file that the button "save now" writes, from which ``opty.resume`` goes on; "{iteration}" in it is
        filled in; without one, opty_live.h5 in the working folder.
    host : address to serve at; the default can be reached from this machine alone. The traffic is not encrypted.
    port : None: the first free one from 8420 on; 0: any.

    The token is drawn, or that of the environment variable OPTY_LIVE_TOKEN. Raises, before the run, for a path that
    cannot be written; OSError where the address is taken.
    """

    only_output = True
    gathers_state = True

    path: str | None = None
    host: str = "127.0.0.1"
    port: int | None = None

    def check(self) -> None:
        if self.port is not None and not 0 <= self.port <= 65535:
            raise ValueError(f"Serve(port={self.port}): ports go from 0, any free one, to 65535")

    def check_before_run(self) -> None:
        if self.path is not None:
            check_suffix(filled(self.path, 0))
            check_target(filled(self.path, 0))

    def apply(self, s: State) -> None:
        run = s.memo["run"]
        if self not in run.announced:
            self._begin(run)
        shown: ShownRun | None = run.announced[self]
        while True:
            asked = _agreed(run, shown.asked() if shown else Asked())
            if asked.save:
                _save(run, shown, filled(self.path or SAVED_TO, s.iteration))
            if asked.show:
                _show(run, shown)
            if asked.stop:
                run.ctrl_c.end()
            if not asked.pause or run.stopping():
                break
            if shown:
                shown.rest()
        if shown:
            shown.go_on()

    def _begin(self, run: Any) -> None:
        """Open the page, on the first rank, and have it told how the run ends."""
        shown = None
        if run.store.ranks.rank == 0:
            server = serving(self.host, self.port)
            shown = ShownRun(run, server.board)
            announce(server)
        run.announced[self] = shown
        run.closers[self] = functools.partial(_end, shown)


def _agreed(run: Any, asked: Asked) -> Asked:
    """Return what the first rank was asked for, on all ranks: what follows they do together."""
    ranks = run.store.ranks
    return asked if ranks.size == 1 else Asked(*(bool(one) for one in ranks.most(np.array(asked, np.float64))))


def _show(run: Any, shown: ShownRun | None) -> None:
    """Take a picture; of a run on several ranks all give their part."""
    began = time.thread_time()  # and not by the clock: other programs may have the core in between
    whole = handle()._of(run.store) if run.store.ranks.size == 1 else run.state().gather()
    if shown is not None and whole is not None:
        snapshot = Snapshot.of(whole)
        shown.board.budget.taken(time.thread_time() - began)
        shown.put(snapshot)


def _save(run: Any, shown: ShownRun | None, path: str) -> None:
    """Write a checkpoint; viewers are told what came of it, and the run goes on where it fails."""
    try:
        checkpoint(path, run.state(), run.unfinished(past_step=True))
    except (OSError, ValueError) as error:
        said = {"failed": True, "text": f"{path} could not be written: {error}"}
    else:
        said = {"failed": False, "text": f"saved to {path} after iteration {run.store.iteration}"}
    if shown is not None:
        shown.board.put(note=said)


def _end(shown: ShownRun | None, how: BareState | BaseException) -> None:
    """Put up how a run ended, and what it came to."""
    # After a failure ranks do nothing together any more.
    whole = how.gather() if isinstance(how, BareState) else getattr(how, "state", None)
    if shown is not None:
        shown.end(whole if isinstance(whole, BareState) and whole.ranks == 1 else None, how)
