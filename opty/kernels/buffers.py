"""What a fused step declares of the workspace that it uses, and the bytes that this takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Sizes(NamedTuple):
    """What buffers are measured by.

    ``batch`` : views worked on together; ``wave`` : bytes of the waves of one view; ``pieces`` : of the waves that the
    threads of a CPU work on at a time, None on a GPU; ``leaves`` : of each leaf.
    """

    batch: int
    wave: int
    pieces: int | None
    leaves: Mapping[str, int]


class Scratch(NamedTuple):
    """Waves (times B, M, n, n) by name, which steps share; with ``moved`` where probes are moved by fractions only."""

    name: str
    times: int = 1
    moved: bool = False

    def needed(self, batch: int, whole: bool) -> bool:
        """Say whether a sweep takes it; ``whole`` : all positions are whole pixels."""
        return not (self.moved and whole)

    def nbytes(self, sizes: Sizes) -> int:
        """Return its bytes."""
        return self.times * sizes.batch * sizes.wave


class Pieces(NamedTuple):
    """Waves (times B, M, n, n); on a CPU only of the views that a thread works on at a time."""

    times: int

    def needed(self, batch: int, whole: bool) -> bool:
        """Say whether a sweep takes it; ``whole`` : all positions are whole pixels."""
        return True

    def nbytes(self, sizes: Sizes) -> int:
        """Return its bytes."""
        return self.times * (sizes.batch * sizes.wave if sizes.pieces is None else sizes.pieces)


class Accumulators(NamedTuple):
    """The sum and the weight that a batch adds up for a leaf, "obj" or "probe".

    One view is updated without them, but for a probe that is moved by a fraction.
    """

    leaf: str

    def needed(self, batch: int, whole: bool) -> bool:
        """Say whether a sweep takes it; ``whole`` : all positions are whole pixels."""
        return batch > 1 or (self.leaf == "probe" and not whole)

    def nbytes(self, sizes: Sizes) -> int:
        """Return its bytes: the weight is real, and has no modes."""
        return 3 * sizes.leaves[self.leaf] // 2


Buffer = Scratch | Pieces | Accumulators
