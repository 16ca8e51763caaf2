"""Several slices along the beam: smoothed from slice to slice, and registered with each other, which finds the tilt."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import scipy.ndimage

from opty.algebra.operator import Operator
from opty.algebra.protocols import State
from opty.errors import MisfitWarning, RecipeError, warn_user
from opty.model.slices import Slices
from opty.state.light import rough_light

_STEP = 0.5  # px between neighbouring slices: of the search, and the longest of a Newton step
_ROUNDS = 12  # Newton steps at most
_ENOUGH = 1e-3  # px over the whole depth: nothing is moved by less
_ALIKE = 12.0  # standard deviations of what slices have in common by chance
_SHARP = 0.5  # of the depth, over which waves of a frequency have to spread apart for it to count
_BLOCKS = 4  # along a window: independent parts of a slice, by which the error is estimated


class SmoothSlices(Operator, reads="obj probe positions", writes="obj"):
    """Smooth an object along the beam: each slice is drawn to its neighbours, their product stays.

    log O_l <- log O_l + weight (D_l - D_{l-1}), D_l = log (O_{l+1} / O_l) less that of a mean ratio where there is
    light, its phase within half a turn; D_0 = D_L = 0. It stands in a loop with an engine, ``(SmoothSlices() *
    rPIE(alpha=0.05)) ** 50``, for samples that change little from slice to slice: columns of atoms, fibres, a thick
    film. Constants by which slices differ stay: no pattern tells them.

    Parameters
    ----------
    weight : share of the difference, above 0 up to 0.5; slices that differ much in truth need less.

    Reads obj, probe, positions; writes obj (L, H, W).
    Raises RecipeError for a thin object.
    Source: the regularisation along depth of PtychoShelves (Chen et al., Science 372, 826 (2021)), and that of PtyRAD
    in real space (Lee et al., arXiv:2505.07814 (2025)), as a step of diffusion.
    """

    weight: float = 0.1
    over_ranks = True
    scale_free = True

    def check(self) -> None:
        if not 0 < self.weight <= 0.5:
            raise ValueError(f"SmoothSlices(weight={self.weight}): give a share above 0 up to 0.5")

    def check_model(self, model: Any) -> None:
        if not isinstance(model.sample, Slices):
            raise RecipeError(f"{self!r}: the object of {model!r} has no second slice: leave the step out")

    def apply(self, s: State) -> None:
        xp, obj = s.xp, s.obj
        light = rough_light(s.store)
        light /= light.sum()
        tiny = np.finfo(s.real_dtype).tiny ** 0.5
        size = xp.maximum(xp.abs(obj), tiny)
        growth = size[1:] / size[:-1]
        growth = xp.log(growth / (growth * light).sum(axis=(1, 2), keepdims=True))
        turned = obj[1:] * obj[:-1].conj()
        mean = (turned * light).sum(axis=(1, 2), keepdims=True)
        turned *= mean.conj()
        between = self.weight * (growth + 1j * xp.angle(turned))
        change = xp.zeros(obj.shape, s.dtype)
        change[:-1] += between
        change[1:] -= between
        s.obj = obj * xp.exp(change)


class Found(NamedTuple):
    """Where slices have what they share: it moves by ``across`` (2,) px from the first to the last.

    ``error`` (2,) px : standard errors. ``likeness`` : how much neighbours share, in what they would by chance.
    ``within`` : whether it is a maximum within the reach, and not at its edge.
    """

    across: np.ndarray
    error: np.ndarray
    likeness: float
    within: bool


class RegisterSlices(
    Operator,
    reads="obj probe positions spacing tilt kept_obj_velocity kept_probe_velocity",
    writes="obj probe tilt kept_obj_velocity kept_probe_velocity",
):
    """Find the tilt at which slices lie upon each other, and move them there: no pattern changes.

    t <- t', O_l(r) <- O_l(r - Z_l (tan t' - tan t)), Z_l the depth of the slice; t' makes what slices have in common
    the strongest, max sum_q |sum_l U_l(q)|^2, U_l the spectrum of O_l / <O_l> - 1 where there is light, without the
    frequencies that can pass from slice to slice. It stands beside an engine, and before SmoothSlices begins, which
    would draw slices together where they do not belong: ``(After(5, Every(5, RegisterSlices())) * After(20,
    SmoothSlices(0.25)) * rPIE(alpha=0.05)) ** 50``.

    A tilt of the beam and slices moved by Z_l tan t make the same patterns. So it is no number that data tell, but one
    of the sample: it is found where something stands upright through the slices, such as columns of atoms. Where slices
    have nothing in common it stays, with a MisfitWarning. While slices are not yet apart, what is found is too small:
    repeat it.

    Parameters
    ----------
    reach : the largest move from a slice to the next that a call makes [px]; less than half the period of a crystal.
        Where slices lie further apart the tilt stays, with a MisfitWarning.

    Reads obj, probe, positions, spacing, tilt; writes obj (L, H, W), tilt (2,) rad, and velocities in the same way; in
    the near field, where the detector shows how far the beam has moved, probe (M, n, n) too.
    History: "tilt_row", "tilt_column" [rad]; "tilt_scatter" [rad], the standard error of a component by how unlike
    parts of the slices are; "tilt_error" [rad], e with e^2 = m^2 + (2 d)^2, m the median of the scatters of all calls,
    since slices that are drawn together become alike where they are wrong, too, and d the change of a component since
    the call halfway (on the square mean), since slices hold for long what the tilt so far put there; "tilt_likeness",
    what neighbouring slices have in common over what they would by chance (12 and more are needed); "tilt_iteration".
    Raises RecipeError for a model without Slices.
    Source: misorientation found with the slices: Sha, Cui, Yu, Science Advances 8, eabn2275 (2022); as the maximum of
    a sum of registered images it is opty's.
    """

    reach: float = 3.0
    over_ranks = True
    scale_free = True
    estimates = False
    outdates = True

    def check(self) -> None:
        if not self.reach > 0:
            raise ValueError(f"RegisterSlices(reach={self.reach}): give a distance above 0, in pixels")

    def check_model(self, model: Any) -> None:
        if not isinstance(model.sample, Slices):
            raise RecipeError(f"{self!r}: the model {model!r} has no slices to register; leave the step out")

    def apply(self, s: State) -> None:
        gaps = s.backend.to_host(s.spacing)
        geometry = s.store.geometry
        pixel = geometry.sample_pixel(s.n)
        spread = geometry.wavelength * gaps.sum() / pixel**2
        found = _registered(s, gaps / gaps.sum(), self.reach, spread)
        slopes = np.tan(s.backend.to_host(s.tilt))
        if not found.likeness >= _ALIKE:
            warn_user(
                f"{self!r}: slices have too little in common, history['tilt_likeness'] below {_ALIKE:g}, and the tilt "
                "stays: register slices later in the run, or leave the step out",
                MisfitWarning,
            )
        elif not found.within:
            warn_user(
                f"{self!r}: slices lie further apart than reach={self.reach:g} px a gap, and the tilt stays: give a "
                "larger reach",
                MisfitWarning,
            )
        elif np.abs(found.across).max() > _ENOUGH:
            slopes -= found.across * pixel / gaps.sum()
            depths = np.concatenate([[0.0], np.cumsum(gaps) / gaps.sum()])
            self._move(s, -found.across, depths, geometry.propagation == "near")
            s.tilt = s.backend.asarray(np.arctan(slopes))
        for name, slope in zip(("tilt_row", "tilt_column"), slopes, strict=True):
            s.record(name, math.atan(slope))
        error = found.error * pixel / gaps.sum() / (1 + slopes**2)
        s.record("tilt_scatter", float(np.sqrt((error**2).mean())))
        s.record("tilt_error", _error_of_calls(*(s.history[f"tilt_{k}"] for k in ("row", "column", "scatter"))))
        s.record("tilt_likeness", found.likeness)
        s.record("tilt_iteration", s.iteration)

    def _move(self, s: State, across: np.ndarray, depths: np.ndarray, near: bool) -> None:
        """Move slices by ``across`` (2,) px times their depths (L,); in the near field the last one stays."""
        moves = (depths - depths[-1] if near else depths)[:, None] * across
        s.obj = _moved(s, s.obj, moves)
        if s.has("kept_obj_velocity"):
            s.kept_obj_velocity = _moved(s, s.kept_obj_velocity, moves)
        for name in ("probe", "kept_probe_velocity", "opr_modes") if near else ():
            if s.has(name):
                waves = getattr(s, name)
                setattr(s, name, _shifted(s, waves, np.broadcast_to(-across, (len(waves), 2))))


def _registered(s: State, parts: np.ndarray, reach: float, spread: float) -> Found:
    """Return what the slices of a state share.

    ``parts`` (L - 1,) : the gaps, as shares of the depth Z; ``spread`` : lambda Z / px^2.
    """
    xp, shape = s.xp, s.object_shape
    q = tuple(xp.asarray(np.fft.fftfreq(size)) for size in shape)
    light = rough_light(s.store)
    weight = light / (light + light.mean())
    mean = (s.obj * weight).sum(axis=(1, 2), keepdims=True) / weight.sum()
    sharp = 1 - xp.exp(-((_SHARP * np.pi * spread * (q[0][:, None] ** 2 + q[1] ** 2)) ** 2))
    contrast = ((s.obj / mean - 1) * weight).astype(s.dtype)
    spectra = s.backend.fft2(contrast, True, s.threads) * sharp.astype(s.real_dtype)
    depths = np.concatenate([[0.0], np.cumsum(parts)])
    depths -= depths.mean()
    across = _searched(s, spectra, parts, reach)
    longest, limit = _STEP / parts.max(), reach / parts.max()
    enough = _ENOUGH / 10
    across, _ = _climbed(s, across, longest, limit, 10 * enough, lambda d: _neighbours(s, spectra, q, parts, d))
    likeness = _likeness(s, spectra, q, parts, across)
    across, curve = _climbed(s, across, longest, limit, enough, lambda d: _together(s, spectra, q, depths, d))
    within = bool(np.abs(across).max() < limit)
    return Found(across, _error(s, spectra, q, depths, across, curve), likeness, within)


def _searched(s: State, spectra: Any, parts: np.ndarray, reach: float) -> np.ndarray:
    """Return the move (2,) px over the depth at which neighbours are most alike, on a grid."""
    room = math.ceil(reach) + 1
    most = math.floor(reach / _STEP)
    steps = _STEP * np.arange(-most, most + 1)
    total = np.zeros((len(steps), len(steps)))
    for k, part in enumerate(parts):
        pair = s.backend.ifft2((spectra[k].conj() * spectra[k + 1])[None], True, s.threads)[0].real
        near = s.backend.to_host(s.xp.roll(pair, (room, room), (0, 1))[: 2 * room + 1, : 2 * room + 1])
        places = room + steps * part / parts.max()
        grid = np.stack(np.meshgrid(places, places, indexing="ij"))
        total += scipy.ndimage.map_coordinates(near.astype(np.float64), grid, order=1, mode="nearest")
    row, col = np.unravel_index(total.argmax(), total.shape)
    return np.array([steps[row], steps[col]]) / parts.max()


def _climbed(
    s: State, start: np.ndarray, longest: float, limit: float, enough: float, of: Any
) -> tuple[np.ndarray, np.ndarray]:
    """Return the maximum (2,) next to a start, by Newton steps, and the second derivatives (2, 2) there.

    ``longest`` : step; ``limit`` : of either component of the place, at which it ends where there is none within;
    ``of`` : returns first (2,) and second derivatives at a place.
    """
    place = start
    for _ in range(_ROUNDS):
        slope, curve = (s.backend.to_host(a) for a in of(place))
        if curve[0, 0] < 0 and np.linalg.det(curve) > 0:
            step = -np.linalg.solve(curve, slope)
        else:
            step = 0.5 * longest * np.sign(slope)
        step = np.clip(place + np.clip(step, -longest, longest), -limit, limit) - place
        place = place + step
        if np.abs(step).max() < enough:
            break
    return place, curve


def _neighbours(s: State, spectra: Any, q: tuple[Any, Any], parts: np.ndarray, across: np.ndarray) -> tuple[Any, Any]:
    """Return first and second derivatives, by the move over the depth, of Re sum_l <U_l, U_{l+1}>."""
    xp, slope, curve = s.xp, 0.0, 0.0
    for k, part in enumerate(parts):
        pair = spectra[k].conj() * _at(xp, spectra[k + 1], q, part * across)
        turns = [2 * np.pi * part * q[0][:, None], 2 * np.pi * part * q[1]]
        slope = slope - xp.stack([(pair.imag * a).sum(dtype=np.float64) for a in turns])
        curve = curve - xp.stack([xp.stack([(pair.real * a * b).sum(dtype=np.float64) for a in turns]) for b in turns])
    return slope, curve


def _likeness(s: State, spectra: Any, q: tuple[Any, Any], parts: np.ndarray, across: np.ndarray) -> float:
    """Return Re sum_l <U_l, U_{l+1}> of registered slices over what it is on the square mean for random phases."""
    xp, common, chance = s.xp, 0.0, 0.0
    for k, part in enumerate(parts):
        pair = spectra[k].conj() * _at(xp, spectra[k + 1], q, part * across)
        common = common + pair.real.sum(dtype=np.float64)
        chance = chance + (xp.abs(pair) ** 2).sum(dtype=np.float64) / 2
    held = float(s.backend.to_host(chance)) ** 0.5
    return float(s.backend.to_host(common)) / held if held > 0 else 0.0


def _sums(s: State, spectra: Any, q: tuple[Any, Any], depths: np.ndarray, across: np.ndarray) -> list[Any]:
    """Return sum_l Z_l^k U_l registered, of k = 0, 1, 2."""
    sums = [0.0, 0.0, 0.0]
    for one, depth in zip(spectra, depths, strict=True):
        there = _at(s.xp, one, q, depth * across)
        sums = [total + there * float(depth) ** k for k, total in enumerate(sums)]
    return sums


def _together(s: State, spectra: Any, q: tuple[Any, Any], depths: np.ndarray, across: np.ndarray) -> tuple[Any, Any]:
    """Return first and second derivatives, by the move over the depth, of sum |sum_l U_l|^2 / 2."""
    xp = s.xp
    none, one, two = _sums(s, spectra, q, depths, across)
    turns = [2 * np.pi * q[0][:, None], 2 * np.pi * q[1]]
    first = -(none.conj() * one).imag
    second = xp.abs(one) ** 2 - (none.conj() * two).real
    slope = xp.stack([(first * a).sum(dtype=np.float64) for a in turns])
    curve = xp.stack([xp.stack([(second * a * b).sum(dtype=np.float64) for a in turns]) for b in turns])
    return slope, curve


def _error(
    s: State, spectra: Any, q: tuple[Any, Any], depths: np.ndarray, across: np.ndarray, curve: np.ndarray
) -> np.ndarray:
    """Return the standard errors (2,) [px over the depth] by how the slope differs between blocks of the slices."""
    if not (np.isfinite(curve).all() and np.linalg.det(curve) > 0):
        return np.full(2, np.inf)
    xp, edge = s.xp, max(s.n // _BLOCKS, 1)
    none, one, _ = _sums(s, spectra, q, depths, across)
    turns = [2 * np.pi * q[0][:, None], 2 * np.pi * q[1]]
    images = s.backend.ifft2(xp.stack([none, *((1j * one * a).astype(s.dtype) for a in turns)]), True, s.threads)
    slopes = s.backend.to_host((images[:1].conj() * images[1:]).real).astype(np.float64)
    starts = [np.arange(0, length, edge) for length in none.shape]
    blocks = np.add.reduceat(np.add.reduceat(slopes, starts[0], axis=1), starts[1], axis=2).reshape(2, -1)
    held = np.linalg.inv(curve)
    return np.sqrt(np.diag(held @ (blocks @ blocks.T) @ held))


def _error_of_calls(row: Any, column: Any, scatter: Any) -> float:
    """Return the error of the last of some tilts, by what all calls found: see RegisterSlices."""
    found = np.stack([row, column], axis=1)
    change = found[-1] - found[(len(found) - 1) // 2]
    return float(np.sqrt(np.median(scatter) ** 2 + 4 * (change**2).mean()))


def _at(xp: Any, spectrum: Any, q: tuple[Any, Any], by: np.ndarray) -> Any:
    """Return the spectrum (H, W) of an image moved back by (2,) px."""
    row, col = (xp.exp(2j * np.pi * a * float(one)).astype(spectrum.dtype) for a, one in zip(q, by, strict=True))
    return spectrum * row[:, None] * col


def _moved(s: State, images: Any, moves: np.ndarray) -> Any:
    """Return images (L, H, W) moved by (L, 2) px; what comes in at an edge repeats the last pixel there."""
    room = math.ceil(np.abs(moves).max()) + s.n // _BLOCKS
    padded = s.xp.pad(images, ((0, 0), (room, room), (room, room)), "edge")
    return _shifted(s, padded, moves)[:, room:-room, room:-room]


def _shifted(s: State, images: Any, moves: np.ndarray) -> Any:
    """Return images (L, H, W) moved by (L, 2) px in Fourier space."""
    xp = s.xp
    spectra = s.backend.fft2(images.astype(s.dtype), True, s.threads)
    for axis, size in enumerate(images.shape[1:]):
        turns = xp.exp(xp.asarray(-2j * np.pi * moves[:, axis, None] * np.fft.fftfreq(size))).astype(s.dtype)
        spectra *= turns[:, :, None] if axis == 0 else turns[:, None]
    return s.backend.ifft2(spectra, True, s.threads)
