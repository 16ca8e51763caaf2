"""check_element: is ``backward`` the adjoint of ``tangent``, and ``tangent`` the derivative of ``forward``?"""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from typing import Any

import numpy as np

from opty.geometry import Geometry
from opty.model.complete import complete, first_leaves
from opty.model.compose import Model, from_json, parse
from opty.model.element import Element
from opty.model.geometry_numbers import LENGTHS, first_value, told_by, with_lengths
from opty.model.host_views import HostViews
from opty.model.scan import Scan
from opty.physics.propagation import Propagator

VIEWS, N, SHAPE = 3, 12, (21, 23)
_H = 1e-5  # of central differences, as a part of a leaf's size: their error is about its square


def check_element(
    element: Element | Model,
    *,
    geometry: Geometry | None = None,
    modes: int = 2,
    seed: int = 0,
    tolerance: float = 1e-10,
) -> dict[str, float]:
    """Check an element, alone in a model or in the model given, on random arrays in complex128.

    For each leaf of the model, the positions, and the lengths of the geometry that data tell (``Refine``), with whole
    and sub-pixel positions, and beams of varying intensity: Re <tangent(d), chi> = sum Re <d, direction>, to
    ``tolerance``, and tangent(d) against central differences of ``forward``, to 1e-6. The model survives repr and
    ``parse``, JSON, and pickle.

    Parameters: geometry, of the measurement (default: far field, 1 nm, pixels of 10 nm at the sample); modes, of the
    probe; seed, of the arrays.
    Returns the relative error of the adjoint by leaf, the largest of all cases. Raises AssertionError with the leaf and
    the figures.

    Source: the dot test of PyLops and ODL.
    """
    geometry = _GEOMETRY if geometry is None else geometry
    rng_of_leaves = np.random.default_rng(seed)
    model = complete(element, geometry, N)
    for again in (parse(repr(model)), from_json(model.to_json()), pickle.loads(pickle.dumps(model))):
        if again != model:
            raise AssertionError(f"{model!r} comes back as {again!r}")
    worst: dict[str, float] = {}
    for views in _cases(model, geometry, modes, rng_of_leaves):
        of_geometry = np.random.default_rng([seed, 1])
        for name in (*(leaf.name for leaf in model.leaves), "positions", *told_by(geometry)):
            rng = of_geometry if name in LENGTHS else rng_of_leaves
            error = _dot(views, name, rng)
            worst[name] = max(worst.get(name, 0.0), error)
            if not error <= tolerance:
                raise AssertionError(f"{model!r}: backward is not the adjoint of tangent for {name!r}, by {error:.2e}")
            off = _difference(views, name, rng)
            if not off <= 1e-6:
                raise AssertionError(f"{model!r}: tangent is not the derivative of forward for {name!r}, by {off:.2e}")
        for element in model.detection:
            error = _detected(views, element, rng_of_leaves)
            worst[repr(element)] = max(worst.get(repr(element), 0.0), error)
            if not error <= tolerance:
                raise AssertionError(
                    f"{element!r}: pull is not the transpose of see, or see not linear, by {error:.2e}"
                )
    return worst


def _detected(v: HostViews, element: Any, rng: np.random.Generator) -> float:
    """Return by how much <see(a), x> differs from <a, pull(x)>, and see(a + b) from see(a) + see(b); a, b above 0."""
    a, b, x = rng.uniform(size=(3, v.size, v.n, v.n))
    seen, other = element.see(v, a), element.see(v, b)
    if not ((seen >= 0).all() and (other >= 0).all()):
        raise AssertionError(f"{element!r} makes negative intensities")
    apart = abs(np.vdot(seen, x) - np.vdot(a, element.pull(v, x))) / np.vdot(seen, x)
    return float(max(apart, abs(element.see(v, a + b) - seen - other).max() / seen.max()))


_GEOMETRY = Geometry(wavelength=1e-9, distance=0.12, pixel_size=1e-3)


def _places(rng: np.random.Generator, fractions: bool) -> np.ndarray:
    room = np.array(SHAPE) - N - 2
    places = np.floor(rng.uniform(1, room, (VIEWS, 2)))
    return places + rng.uniform(-0.4, 0.4, (VIEWS, 2)) if fractions else places


def _cases(model: Model, geometry: Any, modes: int, rng: np.random.Generator) -> Iterator[HostViews]:
    probe, places = _complex(rng, (modes, N, N)), _places(rng, True)
    scan = Scan(VIEWS, N, SHAPE, np.dtype("complex128"), geometry, given=probe, positions=places)
    leaves = first_leaves(model, scan)
    for name, first in leaves.items():
        size = np.abs(first).mean() or 1.0
        noise = _complex(rng, first.shape) if first.dtype.kind == "c" else rng.normal(size=first.shape)
        leaves[name] = noise if first.dtype.kind == "c" else first + 0.1 * size * noise
    wanted = frozenset(leaves) | {"positions", *told_by(geometry)}
    for fractions, flickers in ((False, False), (True, False), (True, True)):
        brightness = rng.uniform(0.8, 1.2, VIEWS) if flickers else None
        places = _places(rng, fractions)
        yield HostViews(model, leaves, places, geometry, brightness=brightness, wanted=wanted)


def _complex(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return rng.normal(size=shape) + 1j * rng.normal(size=shape)


def _change(v: HostViews, name: str, rng: np.random.Generator) -> np.ndarray:
    """Return a random change of a leaf of about its own size."""
    if name == "positions":
        return rng.normal(size=(v.size, 2))
    value = first_value(name, v.geometry) if name in LENGTHS else v.leaf(name)
    if value.dtype.kind == "c":
        return _complex(rng, value.shape)
    return rng.normal(size=value.shape) * (np.abs(value).mean() or 1.0)


def _dot(v: HostViews, name: str, rng: np.random.Generator) -> float:
    exit_waves = v.exit_waves()
    change, chi = _change(v, name, rng), _complex(rng, exit_waves.shape)
    forth = v.tangent({name: _rows(v, name, change)})
    direction, _ = v.gather(name, chi)
    if direction.ndim > 2 and name != "positions" and direction.shape != np.shape(change):  # windows on the frame
        change = v.windows(change)
    change = _rows(v, name, change)
    left, right = np.vdot(forth, chi).real, np.vdot(change, direction).real
    size = np.linalg.norm(forth) * np.linalg.norm(chi)
    return float(abs(left - right) / size) if size else float(abs(right))


def _difference(v: HostViews, name: str, rng: np.random.Generator) -> float:
    v.exit_waves()
    change = _change(v, name, rng)
    tangent = v.tangent({name: _rows(v, name, change)})
    ahead, behind = (_moved(v, name, sign * _H * change) for sign in (1, -1))
    slope = (ahead - behind) / (2 * _H)
    return float(np.abs(slope - tangent).max() / max(np.abs(slope).max(), 1e-300))


def _rows(v: HostViews, name: str, change: np.ndarray) -> np.ndarray:
    """Return the views' rows of a change of a leaf over views; others as they are."""
    leaf = v.number_leaf(name)
    return change[v.selection] if leaf is not None and leaf.over == "view" else change


def _moved(v: HostViews, name: str, change: np.ndarray) -> np.ndarray:
    """Return the exit waves with a leaf, or the positions, changed; brought back from a fixed detector."""
    if name not in LENGTHS | {"positions"}:
        return v.with_estimates(**{name: v.leaf(name) + change}).exit_waves()
    other = v.with_estimates()
    if name == "positions":
        shift = change
    else:
        other = _measured_anew(v, name, change)
        shift = (v.geometry.sample_pixel(v.n) / other.geometry.sample_pixel(v.n) - 1) * _away(v)
    other.fraction = shift if v.fraction is None else v.fraction + shift
    other.__dict__.pop("ramp", None)
    # The curvature of a cone beam at the detector, which no modulus shows, is left out.
    there = other.propagator.to_modulus(other.exit_waves(), other.fraction)
    return v.propagator.from_modulus(there, v.fraction)


def _measured_anew(v: HostViews, name: str, change: np.ndarray) -> Any:
    """Return the views in another geometry; positions [px] as they were."""
    more: dict[str, np.ndarray] = {}
    geometry = with_lengths(v.geometry, {name: first_value(name, v.geometry) + change})
    assert geometry is not None  # a length has one
    if "travel" in v.estimates:
        more["travel"] = v.geometry.sample_pixel(v.n) / geometry.sample_pixel(v.n) * v.leaf("travel")
    other = v.with_estimates(**more)
    other.geometry, other.sweep = geometry, {}
    other.propagator = Propagator(geometry, v.n, v.backend, v.dtype)
    return other


def _away(v: HostViews) -> np.ndarray:
    """Return how far the views lie from the place that stays where the pixel changes, (B, 2) px."""
    return v.corners + (0 if v.fraction is None else v.fraction) - v.middle
