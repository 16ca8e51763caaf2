"""What a sweep moves through memory on a CPU, by model: images that the kernels read and write, beside the transforms.

python -m benchmarks.passes [--output FOLDER]

An image is n x n complex numbers. Each call of a kernel is repeated on copies: an array that it changes is written, and
one whose values matter to what it leaves is read. Of the object, and of the waves and frames of all views, what a batch
takes counts. A Fourier transform, which reads and writes its image at least twice, is counted on its own. What NumPy
does once a sweep is left out.
"""

from __future__ import annotations

import argparse
import inspect
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

import numpy as np

import opty
from benchmarks import scans
from benchmarks.bare import counted
from benchmarks.cases import GAP
from benchmarks.docs import passes
from benchmarks.record import keep
from opty.kernels import compiled

SCAN = scans.Scan("passes", (4, 8), 32, 4)
RECIPES = ("rPIE()", "rPIE(batch=8)", "AP()", "LSQML(batch=8)", "ML()")
MODELS = (
    "Object()",
    *(f"Slices({count}, spacing={GAP})" for count in (2, 3, 4)),
    *(f"Probe(variable={ways})" for ways in (1, 2, 4)),
)
BEFORE = 7  # sweeps, after which a probe that varies no longer waits
_ON_FRAME = {"obj", "obj_step", "obj_sum", "obj_weight"}  # of which a kernel with corners takes windows
_OF_ALL = {"waves", "kept", "intensity", "mask"}  # of which a kernel takes the views at ``rows``


class Kernels:
    """The kernels of a family, which count the bytes that they read and write in ``moved``."""

    def __init__(self, module: ModuleType, moved: Counter):
        self._module, self._moved = module, moved

    def __getattr__(self, name: str) -> Callable[..., Any]:
        kernel = getattr(self._module, name)
        names = list(inspect.signature(getattr(kernel, "py_func", kernel)).parameters)

        def call(*args: Any) -> Any:
            before = [_copied(a) for a in args]
            found = kernel(*args)
            given = dict(zip(names, args, strict=True))
            for place, (after, old) in enumerate(zip(args, before, strict=True)):
                for part, (a, b) in enumerate(zip(_images(after), _images(old), strict=True)):
                    size = _taken(names[place], a, given)
                    changed = a != b
                    self._moved["written"] += size * bool(changed.any())
                    read = not changed.any() or _matters(kernel, before, place, part, a, changed)
                    self._moved["read"] += size * read
            return found

        return call


def _images(value: Any) -> list[np.ndarray]:
    """Return the images in an argument: an array, or arrays, of real or complex numbers along rows and columns."""
    some = value if isinstance(value, tuple) else (value,)
    return [a for a in some if isinstance(a, np.ndarray) and a.ndim > 1 and a.shape[-1] >= SCAN.n]


def _copied(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(map(_copied, value))
    return value.copy() if isinstance(value, np.ndarray) else value


def _matters(kernel: Callable, before: list, place: int, part: int, after: np.ndarray, changed: np.ndarray) -> bool:
    """Say whether what an array held before makes a difference to what a kernel leaves in it."""
    args = [_copied(a) for a in before]
    other = _images(args[place])[part]
    other += 1
    kernel(*args)
    return bool((other[changed] != after[changed]).any())


def _taken(name: str, a: np.ndarray, given: dict[str, Any]) -> float:
    """Return the bytes of an array that a call takes."""
    if name in _ON_FRAME and ("corners" in given or "top" in given):
        return len(given.get("corners", (0,))) * SCAN.n**2 * a.itemsize
    if name in _OF_ALL and "rows" in given:
        return a.nbytes / len(a) * min(len(a), len(given["rows"]))
    return a.nbytes


@contextmanager
def watched() -> Iterator[Counter]:
    """Count the bytes that kernels read and write while the block runs."""
    moved: Counter = Counter()
    module = compiled._module
    with mock.patch.object(compiled, "_module", lambda family, kind: Kernels(module(family, kind), moved)):
        yield moved


def rows() -> Iterator[dict]:
    """Yield what a sweep takes of each view, by recipe and model."""
    with tempfile.TemporaryDirectory() as folder:
        scans.write(Path(folder), SCAN)
        arrays = scans.load(Path(folder))
    for recipe in RECIPES:
        for model in MODELS:
            yield counts(arrays, recipe, model)


def counts(arrays: dict[str, np.ndarray], recipe: str, model: str) -> dict:
    """Return the transforms, and the images read and written, that a sweep takes for each view of a scan."""
    op = opty.parse(recipe)
    p = op**BEFORE * scans.start(arrays, model=model, device="cpu", threads=1)
    with watched() as moved, counted("cpu") as transforms:
        _ = op * p
    images = sum(count * transform.images for transform, count in transforms.items())
    scale = p.data.views * SCAN.n**2 * p.obj.itemsize
    found = {kind: moved[kind] / scale for kind in ("read", "written")}
    return dict(recipe=recipe, model=model, transforms=images / p.data.views) | found


def main() -> None:
    """Count, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results"), help="folder to write to")
    options = parser.parse_args()
    found = list(rows())
    print(*passes(found), sep="\n")
    keep(options.output, "passes", found, ("recipe", "model"))


if __name__ == "__main__":
    main()
