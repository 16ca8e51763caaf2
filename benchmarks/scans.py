"""The scans that are timed and compared: frames, positions, the start, in a folder of .npy files for any process."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

import opty
from opty.simulate import experiment, objects, probes, scans

ARRAYS = ("diff", "pos", "probe0", "obj0")
TRUTH = ("obj", "probe")
WAVELENGTH, PIXEL, DETECTOR = 1e-10, 1e-8, 5e-5  # m, of models: pixels at the sample, and of the detector
SEEDS = {"A": 0, "B": 1}  # of the scans made of pictures


@dataclass(frozen=True)
class Scan:
    """A raster of (rows, columns) views of n x n pixels, ``step`` pixels apart, with ``modes`` probe modes."""

    name: str
    raster: tuple[int, int]
    n: int
    step: int
    modes: int = 1

    @property
    def views(self) -> int:
        """Number of views."""
        return self.raster[0] * self.raster[1]


def write(folder: Path, scan: Scan) -> None:
    """Write the arrays of a scan into a folder: A and B are made of pictures, every other one is simulated."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in (pictured(scan) if scan.name in SEEDS else simulated(scan)).items():
        np.save(folder / f"{name}.npy", array)


def pictured(scan: Scan) -> dict[str, np.ndarray]:
    """Return scan A or B, or a smaller one of the same kind, with its truth: the work that other packages were given.

    Noise-free, far field, zero frequency in the middle, windows on whole pixels. Of each array what it is:

    diff : (N, n, n) float32, sum over the modes of |F(P O)|^2 with a unitary transform.
    pos : (N, 2) corner (row, column) of each window [px]: a raster, and 0 to 6 pixels drawn for each coordinate.
    probe, probe0 : (M, n, n) complex64, the truth; and the start, with the mean power of the patterns.
    obj, obj0 : (H, W) complex64, the truth, 0.4 to 1 in magnitude and -0.6 to 0.6 in phase; and ones.
    """
    rng = np.random.default_rng(SEEDS[scan.name])
    rows, columns = (scan.n + scan.step * (count - 1) + 8 for count in scan.raster)
    obj, probe = _two_pictures((rows, columns)), _true_modes(scan)
    positions = np.indices(scan.raster).reshape(2, -1).T * float(scan.step)
    positions += rng.integers(0, 7, positions.shape)
    patterns = np.empty((scan.views, scan.n, scan.n), np.float32)
    for pattern, (row, column) in zip(patterns, positions.astype(int), strict=True):
        waves = np.fft.fft2(probe * obj[row : row + scan.n, column : column + scan.n], norm="ortho")
        pattern[...] = np.fft.fftshift((np.abs(waves) ** 2).sum(axis=0))
    start = _guessed_modes(scan, rng)
    start *= np.sqrt(patterns.sum((1, 2)).mean() / (np.abs(start) ** 2).sum())
    return {
        "diff": patterns,
        "pos": positions,
        "probe": probe.astype(np.complex64),
        "obj": obj,
        "probe0": start.astype(np.complex64),
        "obj0": np.ones_like(obj),
    }


def _two_pictures(shape: tuple[int, int]) -> np.ndarray:
    """Return the camera man as magnitude and the moon as phase; their greys count as they are, 0 to 255."""
    from skimage.transform import resize

    grey = [objects.picture(name).astype(float) / 255 for name in ("camera", "moon")]
    magnitude, phase = (resize(image, shape, anti_aliasing=True) for image in grey)
    return ((0.4 + 0.6 * magnitude) * np.exp(1.2j * (phase - 0.5))).astype(np.complex64)


def _spot(n: int, bend: float, radius: float, edge: float) -> np.ndarray:
    """Return a soft disc under a spherical phase, pi r^2 / (bend n); ``radius`` in windows, ``edge`` in pixels."""
    r = np.hypot(*_from_middle(n))
    return np.exp(1j * np.pi * r**2 / (n * bend)) / (1 + np.exp((r - n * radius) / edge))


def _from_middle(n: int) -> np.ndarray:
    """Return the (row, column) of each pixel from the middle of a window [px], (2, n, n)."""
    return np.indices((n, n)) - n / 2


def _true_modes(scan: Scan) -> np.ndarray:
    """Return the true probe: a spot, and its first derivatives along columns and rows as the weaker modes."""
    spot, (row, column) = _spot(scan.n, 3.0, 0.28, 2.0), _from_middle(scan.n)
    half = scan.n / 2
    modes = [spot, 1.5 * spot * column / half, 1.05 * spot * row / half]
    return np.array(modes[: scan.modes]) * 100


def _guessed_modes(scan: Scan, rng: np.random.Generator) -> np.ndarray:
    """Return the start: a spot of another size and bend; each further mode is dim, tilted, its phase drawn."""
    spot, (row, column) = _spot(scan.n, 3.6, 0.25, 4.0), _from_middle(scan.n)
    modes = [spot]
    for along in (column, row)[: scan.modes - 1]:
        drawn = np.exp(0.6j * np.pi * rng.random(spot.shape))
        modes.append(0.1 * spot * drawn * (along / scan.n))
    return np.array(modes)


def simulated(scan: Scan) -> dict[str, np.ndarray]:
    """Return a scan as ``opty.simulate`` makes it: a drawn phase as object, probe modes of falling power, no noise."""
    span = [scan.step * (count - 1) + scan.n + 8 for count in scan.raster]
    powers = tuple(0.8 * 0.5**m for m in range(scan.modes))
    probe = 1e4 * probes.modes(probes.aperture(scan.n, scan.n / 2, edge=2), powers)
    rng = np.random.default_rng(0)
    positions = scans.raster(scan.raster, scan.step)
    positions += rng.integers(0, 7, positions.shape)
    data = experiment(objects.random_phase(span, scan.n / 8), probe, positions)
    data = data.replace(positions=data.truth["positions"])
    start = opty.PtychoState(data, modes=scan.modes, obj=np.ones(span), device="cpu", threads=1)
    return dict(diff=data.intensities, pos=data.positions_px, probe0=start.probe, obj0=start.obj)


def load(folder: Path) -> dict[str, np.ndarray]:
    """Return the arrays from which a scan starts, as ``write`` wrote them."""
    return {name: np.load(folder / f"{name}.npy") for name in ARRAYS}


def start(arrays: dict[str, np.ndarray], subpixel: bool = False, model: str = "", **options) -> opty.PtychoState:
    """Return the state from which a scan is timed; ``subpixel`` : with positions off the pixels, by 0.1 to 0.4.

    With a ``model`` the measurement has a geometry, in which pixels at the sample are 10 nm, and the object is what the
    model starts with.
    """
    away = np.random.default_rng(1).uniform(0.1, 0.4, arrays["pos"].shape) if subpixel else 0
    if not model:
        data = opty.PtychoData(arrays["diff"], arrays["pos"] + away)
        return opty.PtychoState(data, probe=arrays["probe0"], obj=arrays["obj0"], **options)
    geometry = opty.Geometry(WAVELENGTH, arrays["diff"].shape[-1] * PIXEL * DETECTOR / WAVELENGTH, DETECTOR)
    data = opty.PtychoData(arrays["diff"], PIXEL * (arrays["pos"] + away), geometry=geometry)
    p = opty.PtychoState(data, probe=arrays["probe0"], margin=4, model=opty.model.parse(model), **options)
    return p if subpixel else p.replace(positions=np.rint(p.positions))  # which metres are not, to the last bit


class Truth:
    """The true object of a pictured scan where at least three views light it: how far a state is from it."""

    def __init__(self, arrays: dict[str, np.ndarray]):
        self.obj = arrays["obj"]
        self.lit = opty.analysis.illuminated(arrays["pos"], arrays["probe"], self.obj.shape)

    def error(self, p: opty.PtychoState) -> float:
        """Return the relative error of a state's object, see ``opty.analysis.object_error``."""
        return opty.analysis.object_error(p.numpy("obj"), self.obj, self.lit, offset=(0, 0))
