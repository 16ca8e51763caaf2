"""A state that was opened without its measurement: what needs the frames is refused before anything runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opty.runtime.plan import Pass, Step, walk

if TYPE_CHECKING:
    from opty.data import PtychoData
    from opty.runtime.plan import Group


def check_frames(data: PtychoData, groups: tuple[Group, ...]) -> None:
    """Raise SourceError, with the remedy, where a plan goes over views whose frames are not here.

    A step on the whole state that compares with the data says so by ``projects``.
    """
    if any(isinstance(node, Pass) or (isinstance(node, Step) and node.step.op.projects) for node in walk(groups)):
        data.need_frames()
