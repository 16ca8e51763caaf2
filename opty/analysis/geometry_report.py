"""What became of the lengths of the geometry, and of the tilt of the beam through slices, that a run found."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opty.geometry import Geometry
from opty.model.geometry_numbers import GEOMETRY_LEAVES, with_lengths
from opty.units import metres


def geometry_lines(
    leaves: Mapping[str, Any], history: Mapping[str, Any], geometry: Geometry | None, n: int
) -> tuple[str, ...]:
    """Return, of each length that ``Refine`` found, what it is, what was given, and how sure it is; and the tilt that
    ``RegisterSlices`` found.

    ``leaves`` and ``history`` of a state or a result, with the ``geometry`` and patterns of n x n of the measurement.
    """
    if geometry is None:
        return ()
    lines, found = [], {}
    for name in (leaf.name for leaf in GEOMETRY_LEAVES):
        if name not in leaves:
            continue
        found[name] = leaves[name]
        value, given = float(leaves[name][0]), getattr(geometry, name)
        errors = history.get(f"{name}_error", ())
        sure = f", standard error {abs(errors[-1] / value):.1g} of it" if len(errors) else ""
        lines.append(f"{name} {metres(value)}, {value / given - 1:+.3%} of the {metres(given)} given{sure}")
    now = with_lengths(geometry, found)
    if now is not None and (pixel := now.sample_pixel(n)) != geometry.sample_pixel(n):
        lines.append(f"pixel at the sample {metres(pixel)}, in place of {metres(geometry.sample_pixel(n))}")
    if len(history.get("tilt_row", ())):
        row, col, error = (1e3 * float(history[name][-1]) for name in ("tilt_row", "tilt_column", "tilt_error"))
        sure = f"standard error {error:.1g} mrad"
        lines.append(f"tilt {row:.4g}, {col:.4g} mrad (row, column) of the beam through the slices, {sure}")
    return tuple(lines)
