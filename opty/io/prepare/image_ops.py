"""The options applied to frames and masks: to all at once, or as they are read where they stay in the file."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from opty.data.fields import divided
from opty.data.lazy_frames import LazyFrames
from opty.files.open_file import KeptFile
from opty.io.prepare.cutting import Cut, rebinned
from opty.io.prepare.frames import Frames, blocks, plain
from opty.memory import free_memory, size
from opty.remedies import option

if TYPE_CHECKING:
    from opty.io.prepare.options import Preparation, Raw

SHARE = 0.25  # of the free memory: while a state is made, frames are in memory twice


@dataclass(frozen=True)
class Treatment:
    """The operations on frames: zero frequency to the centre, cut, zero under the mask, divided by the flat, rebinned.

    ``mask`` (n, n) or (N, n, n) and ``flat`` (n, n) are cut already. ``clip`` : negative counts become 0.
    """

    cut: Cut
    corner: bool
    mask: Any
    flat: np.ndarray | None
    rebin: int
    clip: bool = False
    subdivide: int = 1

    @property
    def none(self) -> bool:
        """Whether nothing changes but the place of the zero frequency."""
        return self.cut.whole and self.flat is None and self.rebin == self.subdivide == 1 and not self.clip

    def __call__(self, images: np.ndarray, where: slice | np.ndarray) -> np.ndarray:
        """Treat some views; ``where`` they are among the chosen ones."""
        images = self.cut(centred(images, self.corner))
        images = clipped(images) if self.clip else images
        if self.mask is not None and self.rebin > 1:  # codes of dead pixels would not fit the type when added up
            images = np.where(self.mask if self.mask.ndim == 2 else self.mask[where], images, images.dtype.type(0))
        if self.flat is not None:
            blank = np.zeros(images.shape, np.float32)
            images = np.divide(images, self.flat, where=self.flat > 0, out=blank, casting="unsafe")
        return divided(rebinned(images, self.rebin), self.subdivide)


@dataclass(frozen=True)
class MaskTreatment:
    """The operations on masks, one for each view: zero frequency to the centre, cut, joined with others, rebinned.

    The other masks are cut already.
    """

    cut: Cut
    others: tuple[Any, ...] = ()
    rebin: int = 1
    corner: bool = False
    subdivide: int = 1

    def __call__(self, good: np.ndarray, where: slice | np.ndarray) -> np.ndarray:
        """Treat the masks of some views; ``where`` they are among the chosen ones."""
        parts = [
            self.cut(centred(good, self.corner)),
            *(mask if mask.ndim == 2 else mask[where] for mask in self.others),
        ]
        return divided(rebinned(np.logical_and.reduce(np.broadcast_arrays(*parts)), self.rebin), self.subdivide)


def centred(images: np.ndarray, corner: bool) -> np.ndarray:
    """Return images (..., rows, columns) with the zero frequency in the middle, where it may be in the corner."""
    return np.fft.fftshift(images, axes=(-2, -1)) if corner else images


def clipped(images: np.ndarray) -> np.ndarray:
    """Return counts with 0 in place of negative ones; NaN stays NaN."""
    return images if images.dtype.kind == "u" else np.maximum(images, images.dtype.type(0))


@dataclass(frozen=True)
class ValidTreatment:
    """Makes masks from frames, True where counts are below ``level`` and, unless ``valid`` is False, finite and not
    negative; then as MaskTreatment.
    """

    cut: Cut
    corner: bool
    clip: bool
    valid: bool = True
    level: float = np.inf
    others: tuple[Any, ...] = ()
    rebin: int = 1
    subdivide: int = 1

    def __call__(self, images: np.ndarray, where: slice | np.ndarray) -> np.ndarray:
        """Make the masks of some views; ``where`` they are among the chosen ones."""
        images = centred(images, self.corner)
        good = ~(images >= self.level)
        if self.valid:
            good &= np.isfinite(images) & ((images >= 0) | self.clip)
        return MaskTreatment(self.cut, self.others, self.rebin, subdivide=self.subdivide)(good, where)


class InFile:
    """Views that stay in their file and are treated when read: ``part`` "frames" or "own_mask" of its Raw."""

    def __init__(self, kept: KeptFile, part: str, choice: slice | np.ndarray, treatment: Any):
        self.kept, self.part, self.treatment = kept, part, treatment
        frames = getattr(kept.raw, part)
        self.index, self.chunk, self.preferred_block = (
            np.arange(frames.shape[0])[choice],
            frames.chunk,
            frames.preferred_block,
        )
        first = self.read(np.arange(1))
        self.shape, self.dtype = (len(self.index), *first.shape[1:]), first.dtype
        counts = isinstance(treatment, Treatment) and treatment.flat is None and treatment.subdivide == 1
        self.native = frames.dtype if counts else first.dtype  # sums of integers have the widest type

    def read(self, choice: slice | np.ndarray) -> np.ndarray:
        """Read some views (B, n, n), in the order given."""
        where = np.arange(len(self.index))[choice]
        return self.treatment(self.kept.read(self.part, plain(self.index[where])), where)

    def __repr__(self) -> str:
        return f"{self.kept!r}"


def stay(raw: Raw, options: Preparation, cut: Cut, choice: slice | np.ndarray, unmasked: bool = False) -> bool:
    """Decide whether the frames stay in the file; ``unmasked`` : the file's own mask is not read.

    Raises ValueError where ``stream`` is True and they cannot; MemoryError where they cannot and do not fit in memory.
    """
    if options.stream is False:
        return False
    why = raw.whole
    if why is None and not raw.frames.piecewise:
        why = "its frames can only be read all together: opty convert IN OUT.h5 writes them one by one"
    if options.stream:
        if why is not None:
            raise ValueError(f"{option('stream', True)} leaves the frames in the file, but {why}")
        return True
    views, free = len(np.arange(raw.frames.shape[0])[choice]), free_memory()
    per_pixel = raw.frames.dtype.itemsize + (not unmasked and isinstance(raw.own_mask, Frames))
    wanted = views * (cut.n // options.rebin * options.subdivide) ** 2 * per_pixel
    if free is not None and wanted > free and why is not None:
        raise MemoryError(f"the frames take {size(wanted)} and {size(free)} are free, but {why}")
    return why is None and free is not None and wanted > SHARE * free


def in_file(kept: KeptFile, part: str, choice: slice | np.ndarray, treatment: Any) -> LazyFrames:
    """Return frames or masks that stay in the file."""
    return LazyFrames(InFile(kept, part, choice, treatment))


def in_memory(raw: Raw, choice: slice | np.ndarray, treatment: Treatment) -> np.ndarray:
    """Read all chosen frames, treated."""
    if treatment.none:
        whole = raw.frames.read(choice)
        return centred(whole, raw.corner)
    out = None
    for place, images in blocks(raw.frames, choice):
        images = treatment(images, place)
        if out is None:
            views = len(np.arange(raw.frames.shape[0])[choice])
            counts = treatment.flat is None and treatment.subdivide == 1
            dtype = raw.frames.dtype if counts else images.dtype
            out = np.empty((views, *images.shape[1:]), dtype)
        if images.dtype.kind in "iu" and images.max() > np.iinfo(out.dtype).max:
            out = out.astype(np.result_type(out.dtype, np.min_scalar_type(int(images.max()))))
        out[place] = images
    assert out is not None  # there is at least one view
    return out


def joined_masks(found: list[Any]) -> Any:
    """Return where all masks are True, or None without any; a mask that stays in the file comes first."""
    if found and isinstance(found[0], LazyFrames):
        return _changed(found[0], others=tuple(found[1:]))
    return None if not found else np.logical_and.reduce(np.broadcast_arrays(*found))


def other_pixels(mask: Any, rebin: int, subdivide: int) -> Any:
    """Return a mask, in memory or in the file, for pixels that are added up, and divided."""
    if not isinstance(mask, LazyFrames):
        return divided(rebinned(mask, rebin), subdivide)
    return _changed(mask, rebin=rebin, subdivide=subdivide)


def _changed(mask: LazyFrames, **changes: Any) -> LazyFrames:
    """Return a mask in a file with other fields of its treatment."""
    frames = mask.frames
    assert isinstance(frames, InFile)  # as ``in_file`` made it
    return LazyFrames(InFile(frames.kept, frames.part, frames.index, replace(frames.treatment, **changes)))
