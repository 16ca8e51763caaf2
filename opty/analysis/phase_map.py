"""The phase of the object as a map that can be measured in: unwrapped, its background plane taken off."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import scipy.ndimage

from opty.analysis.illumination import crop_to, lit_area
from opty.errors import RecipeError
from opty.geometry import interaction_constant
from opty.model.sample import transmission
from opty.physics.vortices import residues
from opty.remedies import here

if TYPE_CHECKING:
    from opty.state import BareState

Background = Literal["plane", "constant", "none"]
Box = tuple[slice, slice]
TUKEY = 4.685  # deviations beyond which a pixel does not count; 95 percent efficient for Gaussian noise
GAUSSIAN = 1.4826  # standard deviation over the median of absolute deviations
_ROUNDS = 25  # of reweighting, for each of the two estimators
_LEAST_NOISE = 1e-6  # rad: rounding of complex64
_LEAST_VACUUM = 16  # px


@dataclass(frozen=True, eq=False)
class PhaseMap:
    """What ``phase_map`` found. Maps are cropped to the lit area; outside of it they are NaN.

    ``phase`` (H, W) float64 [rad] : unwrapped, less the background. ``magnitude`` (H, W) : |O|, 1 in the vacuum where
    one was given. ``corner`` (row, column) [px] : of pixel [0, 0] in the object. ``pixel`` [m], or None without a
    geometry. ``vacuum`` (H, W) bool, or None. ``background`` : what was taken off, constant + slopes . (r - middle of
    the map), with ``constant`` [rad] and ``slopes`` (row, column) [rad/px]; 0 where not fitted. ``noise`` [rad] :
    standard deviation from it where it was fitted, by the median. ``background_error`` [rad] : of the background in the
    worst corner of the map, were the noise of the pixels independent; NaN without one. ``residues`` : places around
    which the phase does not close, where unwrapping had to choose. ``left_out`` [px] : lit, but in no contact with the
    rest. ``slices`` : whose phases were summed. ``interaction`` [rad/(V m)] : of electrons; None for photons.
    """

    phase: np.ndarray
    magnitude: np.ndarray
    corner: tuple[int, int]
    pixel: float | None
    vacuum: np.ndarray | None
    background: Background
    constant: float
    slopes: tuple[float, float]
    noise: float
    background_error: float
    residues: int
    left_out: int
    slices: int
    interaction: float | None

    @property
    def potential(self) -> np.ndarray:
        """Projected potential (H, W) [V m] of electrons, phase / sigma; ValueError for photons.

        Source: Kirkland, Advanced Computing in Electron Microscopy (2020), ch. 5.
        """
        if self.interaction is None:
            raise ValueError(
                "only electrons see a potential, and the geometry has no voltage: give Geometry(voltage=...), or take "
                "thickness(p, delta=...) for photons"
            )
        return self.phase / self.interaction

    def lines(self) -> dict[str, str]:
        """Return the report in words, one subject a line."""
        low, high = np.nanpercentile(self.phase, (0.5, 99.5))
        told = {"phase": f"{low:.4g} to {high:.4g} rad (0.5 to 99.5 percent of the pixels), noise {self.noise:.2g} rad"}
        if self.background != "none":
            where = "the lit area" if self.vacuum is None else f"{int(self.vacuum.sum())} px of vacuum"
            row, column = self.slopes
            slopes = f", slopes {row:.4g}, {column:.4g} rad/px" if self.background == "plane" else ""
            told["taken off"] = (
                f"{self.constant:.4g} rad{slopes} (row, column), fitted to {where}; known to "
                f"{self.background_error:.2g} rad in the corners, if the noise of the pixels is independent"
            )
        if unknown := self._unknown():
            told["not known"] = unknown
        if self.slices > 1:
            told["slices"] = f"{self.slices}; their phases are summed"
        if self.residues:
            told["residues"] = (
                f"{self.residues} places where the phase steps by more than half a turn a pixel, or has no light: "
                "around them parts of 2 pi may be wrong; RemoveVortices() in the recipe closes those that a run left"
            )
        if self.left_out:
            told["left out"] = f"{self.left_out} px that are lit, but apart from the rest"
        return told

    def _unknown(self) -> str:
        unknown = []
        if self.background == "none":
            unknown.append("a constant of the phase, which is in the map")
        elif self.vacuum is None:
            also = " and mean slope" if self.background == "plane" else ""
            unknown.append(f"mean{also} of the sample, which went with the background")
        if self.background != "plane":
            unknown.append("a ramp of the phase, which is in the map")
        if self.vacuum is None:
            unknown.append("the scale of |O|: give vacuum=")
        return ", ".join(unknown)

    def __str__(self) -> str:
        return "\n".join(f"{name:<14} {line}" for name, line in self.lines().items())


def phase_map(p: BareState, vacuum: np.ndarray | Box | None = None, background: Background = "plane") -> PhaseMap:
    """Unwrap the phase of the object over the lit area, and take the background off.

    phi(r) = unwrapped arg O(r) - c - k . (r - middle); c and k by a robust fit (least absolute deviations, then Tukey's
    biweight) over the vacuum, where the sample is not. No data tell c and k: without a vacuum they are fitted to the
    whole lit area, of which more than half should be empty, and take a mean slope of the sample off. Of several slices
    the phases are summed. Pixels are unwrapped in the order of their reliability, after the mean slope.

    Parameters
    ----------
    p : state.
    vacuum : (H, W) bool of the object, or its rows and columns, ``np.s_[10:60, 20:200]``, as ``opty.plot.phase``
        counts them; the lit part of it counts.
    background : "plane" (c and k), "constant" (c alone, k = 0), or "none".

    Raises
    ------
    ValueError : a vacuum of another shape, with fewer than 16 lit pixels, or where the object is 0; one without two
        directions for a plane; another background. TypeError : a vacuum that is neither. RecipeError : a mixture
    of object states. ImportError : no scikit-image.

    Source: Herraez et al., Appl. Opt. 41, 7437 (2002) (unwrapping); Beaton, Tukey, Technometrics 16, 147 (1974).
    """
    if background not in get_args(Background):
        raise ValueError(f"background is {background!r}; choose one of {', '.join(get_args(Background))}")
    if p.model.mixture:
        raise RecipeError(
            f"the object is a mixture of {len(p.numpy('obj'))} states, and no pattern tells the phase of each: look at "
            f"{here('opty.analysis.object_states(p)', 'the picture of the states')}"
        )
    image, slices = p.numpy("obj"), 1
    if image.ndim == 3:
        image, slices = transmission(image.astype(np.complex128), False), len(image)
    empty = None if vacuum is None else _checked(vacuum, image.shape)
    lit = lit_area(p)
    known = _connected(lit, empty)
    window = crop_to(known)
    part, left_out = image[window].astype(np.complex128), int(lit.sum() - known.sum())
    known = known[window]
    base = known if empty is None else known & empty[window]
    if base.sum() < _LEAST_VACUUM:
        raise ValueError(
            f"the vacuum has {int(base.sum())} lit pixels: give at least {_LEAST_VACUUM} within the lit area, "
            f"rows {window[0].start} to {window[0].stop - 1} and columns {window[1].start} to {window[1].stop - 1}"
        )
    phase, around = _unwrapped(part, known)
    plane, noise, error = _fit(phase, base, background)
    row, column = _centred(phase.shape)
    if background != "none":
        phase = phase - (plane[0] + plane[1] * row + plane[2] * column)
    scale = 1.0 if empty is None else float(np.median(np.abs(part[base])))
    if not scale > 0:
        raise ValueError("the object is 0 in most of the vacuum, which lets all light through: give another vacuum")
    magnitude = np.abs(part) / scale
    voltage = None if p.geometry is None else p.geometry.voltage
    return PhaseMap(
        phase=np.where(known, phase, np.nan),
        magnitude=np.where(known, magnitude, np.nan),
        corner=(window[0].start, window[1].start),
        pixel=p.pixel,
        vacuum=None if empty is None else base,
        background=background,
        constant=float(plane[0]),
        slopes=(float(plane[1]), float(plane[2])),
        noise=noise,
        background_error=error,
        residues=around,
        left_out=left_out,
        slices=slices,
        interaction=None if voltage is None else interaction_constant(voltage),
    )


def _checked(vacuum: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Return the vacuum as a mask (H, W)."""
    if isinstance(vacuum, tuple) and len(vacuum) == 2 and all(isinstance(part, slice) for part in vacuum):
        mask = np.zeros(shape, bool)
        mask[vacuum] = True
        return mask
    if not (isinstance(vacuum, np.ndarray) and vacuum.dtype == bool):
        raise TypeError(
            f"vacuum is {vacuum!r:.60}; give rows and columns as np.s_[10:60, 20:200], or an array of bool with the "
            f"shape of the object, {shape}"
        )
    if vacuum.shape != shape:
        raise ValueError(f"vacuum has the shape {vacuum.shape}; the object has {shape}: give a mask of all its pixels")
    return vacuum


def _connected(lit: np.ndarray, empty: np.ndarray | None) -> np.ndarray:
    """Return the part of the lit area in one piece that holds most of the vacuum, or most pixels."""
    parts, count = scipy.ndimage.label(lit)
    if count <= 1:
        return lit
    sizes = np.bincount(parts[lit if empty is None or not (lit & empty).any() else lit & empty], minlength=count + 1)
    return np.asarray(parts == int(sizes.argmax()))


def _unwrapped(image: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, int]:
    """Return the unwrapped phase (H, W) [rad] and the number of residues among the known pixels."""
    try:
        from skimage.restoration import unwrap_phase
    except ImportError as error:
        raise ImportError('unwrapping needs scikit-image: pip install "opty-ptycho[images]"') from error
    wave = np.exp(1j * np.angle(image)) * known
    slopes = [
        float(np.angle((wave[1:] * wave[:-1].conj()).sum())),
        float(np.angle((wave[:, 1:] * wave[:, :-1].conj()).sum())),
    ]
    row, column = _centred(image.shape)
    ramp = slopes[0] * row + slopes[1] * column
    flat = np.angle(image * np.exp(-1j * ramp))
    phase = unwrap_phase(np.ma.masked_array(flat, ~known), rng=0)
    return np.ma.getdata(phase) + ramp, int(residues(flat, known).sum())


def _centred(shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Return row (H, 1) and column (1, W) of each pixel from the middle [px]."""
    rows, columns = shape
    return (np.arange(rows) - (rows - 1) / 2)[:, None], (np.arange(columns) - (columns - 1) / 2)[None]


def _fit(phase: np.ndarray, base: np.ndarray, background: Background) -> tuple[np.ndarray, float, float]:
    """Return constant and slopes (3,), the noise about them, and the standard deviation of the plane in the corners."""
    rows, columns = phase.shape
    terms = {"plane": 3, "constant": 1, "none": 0}[background]
    places = np.nonzero(base)
    values = phase[base]
    design = np.stack([np.ones(len(values)), *(at - (n - 1) / 2 for at, n in zip(places, phase.shape, strict=True))])
    if terms == 3 and np.linalg.matrix_rank(design[1:] - design[1:].mean(axis=1, keepdims=True)) < 2:
        raise ValueError(
            "the vacuum is a line of pixels, which has no slope across it: give a wider one, or background='constant'"
        )
    design, weights, plane = design[:terms], np.ones(len(values)), np.zeros(3)
    noise = GAUSSIAN * float(np.median(np.abs(values - np.median(values))))
    if not terms:
        return plane, noise, math.nan
    for turn in range(2 * _ROUNDS):
        weighted = design * weights
        plane[:terms] = np.linalg.solve(weighted @ design.T, weighted @ values)
        off = np.abs(values - plane[:terms] @ design)
        noise = max(GAUSSIAN * float(np.median(off)), _LEAST_NOISE)
        far = off / (TUKEY * noise)
        weights = 1 / np.maximum(off, 0.1 * noise) if turn < _ROUNDS else np.where(far < 1, (1 - far**2) ** 2, 0)
    corners = np.array([[1, i * (rows - 1) / 2, j * (columns - 1) / 2] for i in (-1, 1) for j in (-1, 1)])[:, :terms]
    spread = np.linalg.inv((design * weights) @ design.T)
    return plane, noise, noise * math.sqrt(max(float(x @ spread @ x) for x in corners))
