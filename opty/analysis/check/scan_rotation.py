"""How a scan on a grid is turned against the detector: by the curl of the centres of mass of its frames.

For a thin object the centre of mass of a pattern is the gradient of the object's phase, smeared by the probe, and a
gradient has no curl. Measured along the axes of the detector and compared along those of the scan, it has one, unless
both agree.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from opty.analysis.check.findings import Findings
from opty.analysis.check.rotation_fit import ProbeFit
from opty.data import PtychoData
from opty.data.scan_grid import grid_shape
from opty.remedies import option

NOISE = 4.0  # times the median power of the spectrum: white noise alone exceeds it at one frequency in a few hundred
SURE = 0.6  # of the largest curl: the least one is well below where the frames tell the angle
DECISIVE = 0.8  # of the curl without a transposition, and of what the better way explains
TURNED = math.radians(1.5)  # less is within what the frames tell
LEAST_GRID = 8  # views on a side: fewer tell little
EXPLAINED = 3.0  # times what noise alone would have: below it a fit says nothing


@dataclass(frozen=True)
class ScanRotation:
    """What ``find_rotation`` found.

    ``angle`` [rad] by which the axes of the scan are turned against those of the detector, from the row axis towards
    the column axis, as ``scan_rotation`` of ``opty.load`` has it; ``transpose``: whether the detector image has to be
    transposed first. ``by``: "curl", or "probe" where the data bring a starting probe. ``curl``: the root mean square
    curl that is left, in parts of the largest at any angle. ``sure``: whether the frames tell.

    The curl, or a probe in focus, alone tells the angle up to half a turn. Of the two, that one is taken at which the
    phase of the object stands out upwards, as that of atoms does for electrons. Positions turned by half a turn fit as
    well, with the object turned and conjugate.
    """

    angle: float
    transpose: bool
    curl: float
    sure: bool
    by: str = "curl"

    @property
    def degrees(self) -> float:
        """The angle in degrees."""
        return math.degrees(self.angle)


def centres_of_mass(data: PtychoData) -> np.ndarray:
    """Centre of mass (N, 2), (row, column) [px], of each pattern, over the pixels that count, less their mean."""
    out = np.empty((data.views, 2))
    axis = np.arange(data.n, dtype=np.float64)
    for place, images in data.blocks():
        total = np.maximum(images.sum(axis=(1, 2), dtype=np.float64), 1e-300)
        out[place, 0] = images.sum(axis=2, dtype=np.float64) @ axis / total
        out[place, 1] = images.sum(axis=1, dtype=np.float64) @ axis / total
    return out - out.mean(axis=0)


def find_rotation(data: PtychoData, shape: tuple[int, int] | None = None) -> ScanRotation:
    """Find how a scan on a grid is turned against the detector, and whether the detector image is transposed.

    Where the data bring a starting probe, the frames are compared with those that it makes of a weak object, which
    tells the angle of wide probes and few electrons too: see ``rotation_fit``. Else, by centres of mass:

    Minimises the sum over the scan of (cos(a) K - sin(a) D)^2, where K = d_i c_col - d_j c_row and D = d_i c_row +
    d_j c_col are curl and divergence of the centres of mass c, over the angle a, also with c_row and c_col exchanged.
    The least is an eigenvector of a 2 x 2 matrix: no angle is tried out, and noise, alike in K and D, has no bias.

    Parameters
    ----------
    data : the measurement, its positions not turned yet. shape : (rows, columns) of the grid; default: as its positions
        tell.

    Raises ValueError for a scan that is no grid of 3 x 3 views or more.

    Source: Savitzky et al., Microsc. Microanal. 27, 712 (2021), for the least curl in 4D-STEM.
    """
    shape = grid_shape(data.positions) if shape is None else (int(shape[0]), int(shape[1]))
    if shape is None or min(shape) < 3 or shape[0] * shape[1] != data.views:
        raise ValueError(
            f"the {data.views} positions are no grid of 3 x 3 views or more, line by line: give "
            f"{option('scan_rotation', '12deg')} as an angle"
        )
    steps = [float(np.linalg.norm(data.positions[k] - data.positions[0])) for k in (shape[1], 1)]
    q, row, column = _spectrum(centres_of_mass(data).reshape(*shape, 2), steps)
    ways = []
    for transpose in (False, True):
        c = (column, row) if transpose else (row, column)
        angle, least, most = _least(q[0] * c[1] - q[1] * c[0], q[0] * c[0] + q[1] * c[1])
        ways.append((least, most, angle, c, transpose))
    least, most, angle, c, transpose = ways[ways[1][0] < DECISIVE * ways[0][0]]
    if _skewness(q, c, angle) < 0:
        angle += math.pi
    angle = math.remainder(angle, 2 * math.pi)
    left = math.sqrt(least / most) if most > 0 else 1.0
    if data.probe is None or (data.geometry is not None and data.geometry.propagation != "far"):
        return ScanRotation(angle, transpose, left, left < SURE)
    fits = [ProbeFit(data, shape, steps, transpose).best() for transpose in (False, True)]
    better = fits[1].explained > fits[0].explained
    sure = fits[better].explained > EXPLAINED and fits[not better].explained < DECISIVE * fits[better].explained
    return ScanRotation(fits[better].angle, better, left, sure, "probe")


def of_rotation(data: PtychoData) -> Findings:
    """Say whether the frames of an electron microscope tell another rotation than the positions have."""
    shape = grid_shape(data.positions)
    if data.geometry is None or data.geometry.voltage is None or shape is None or min(shape) < LEAST_GRID:
        return Findings()
    found = find_rotation(data, shape)
    down = data.positions[shape[1]] - data.positions[0]
    off = math.remainder(found.angle - math.atan2(down[1], down[0]), 2 * math.pi if found.by == "probe" else math.pi)
    if not found.sure or (abs(off) < TURNED and not found.transpose):
        return Findings()
    turn = option("scan_rotation", f"{found.degrees:.3g}deg")
    also = f" and {option('transpose', True)}" if found.transpose else ""
    by = f"{math.degrees(off):.3g} degrees" if abs(off) >= TURNED else "a transposition"
    return Findings(warnings=(f"the frames say that the scan is turned by {by} more: load with {turn}{also}",))


def _spectrum(field: np.ndarray, steps: list[float]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Unit vectors (2, rows, columns) of the scan's frequencies, and the two spectra of a field (rows, columns, 2).

    Noise is white, so frequencies with no more power than noise are left out, and the others lose that much of it.
    """
    axes = np.meshgrid(
        *(np.fft.fftfreq(n, step) for n, step in zip(field.shape[:2], steps, strict=True)), indexing="ij"
    )
    window = np.outer(np.hanning(field.shape[0] + 2)[1:-1], np.hanning(field.shape[1] + 2)[1:-1])
    weights = window[..., None]
    mean = (field * weights).sum(axis=(0, 1)) / window.sum()
    spectra = np.fft.fft2((field - mean) * weights, axes=(0, 1))
    size = np.hypot(*axes)
    power = (np.abs(spectra) ** 2).sum(axis=-1)
    power[size == 0] = 0.0
    noise = np.median(power[size > 0]) * NOISE
    keep = np.sqrt(np.clip(1 - noise / np.maximum(power, 1e-300), 0, 1))
    size[size == 0] = 1.0
    return np.array(axes) / size, spectra[..., 0] * keep, spectra[..., 1] * keep


def _least(curl: np.ndarray, divergence: np.ndarray) -> tuple[float, float, float]:
    """Return the angle of the least curl, the sum of its squares there, and the largest at any angle."""
    k2, d2 = (np.abs(curl) ** 2).sum(), (np.abs(divergence) ** 2).sum()
    kd = (curl * divergence.conj()).real.sum()
    values, vectors = np.linalg.eigh([[k2, -kd], [-kd, d2]])
    c, s = vectors[:, 0]
    return math.atan2(s, c), float(max(values[0], 0.0)), float(values[1])


def _skewness(q: np.ndarray, c: tuple[np.ndarray, np.ndarray], angle: float) -> float:
    """Skewness of the phase, its low frequencies weakened, whose gradient the spectra ``c`` are, turned by an angle."""
    cos, sin = math.cos(angle), math.sin(angle)
    along = (cos * c[0] + sin * c[1], cos * c[1] - sin * c[0])
    phase = np.fft.ifft2((q[0] * along[0] + q[1] * along[1]) / 1j).real
    return float((phase**3).mean())
