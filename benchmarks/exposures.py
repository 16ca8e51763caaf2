"""Are two exposures in one scan told from a sample that absorbs? Scans of ``wrong_scans``, drawn by seed.

python -m benchmarks.exposures FIRST LAST      each right, with a sample that absorbs, and with two exposures
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator

import numpy as np

import opty
from benchmarks.wrong_scans import draw, keep
from opty.analysis.check.exposures import two_exposures
from opty.simulate import experiment, objects

LEAST = 0.8, 0.2, 0.05  # transmission of the sample where it is the darkest
TIMES = 0.25, 0.5, 0.7  # the light of the shorter exposure
CLOSE = 0.95  # of the views in their right group: the exposures are found


def absorbing(data: opty.PtychoData, seed: int, least: float) -> opty.PtychoData:
    """Return the scan of another sample: one half absorbs, down to ``least`` of the amplitude, the other is empty."""
    truth = data.truth
    rng = np.random.default_rng([18, seed])
    shape = truth["obj"].shape
    obj = objects.two_images(shape, ("cell", "brick"), (least, 1.0), (-0.5, 0.5)).astype(np.complex64)
    edge = int(rng.uniform(0.3, 0.7) * shape[1])
    obj[:, edge:] = 1
    photons = float(data.photons().mean())
    places = np.rint(truth["positions"])
    return experiment(obj, truth["probe"], places, photons, geometry=data.geometry, seed=seed)


def exposures(photons: np.ndarray, seed: int, times: float, when: str) -> tuple[np.ndarray, np.ndarray]:
    """Return photons of two exposures, drawn again, and which views are the dim ones: a share of 10 to 50 percent."""
    rng = np.random.default_rng([19, seed])
    count = int(rng.uniform(0.1, 0.5) * len(photons))
    dim = np.zeros(len(photons), bool)
    dim[-count:] = True
    dim = dim if when == "from a view on" else rng.permutation(dim)
    return np.where(dim, rng.poisson(photons * times), photons), dim


def rows(seed: int) -> Iterator[tuple[str, str]]:
    """Yield what each scan is, and what is said of it."""
    data = draw(seed)
    found = two_exposures(data.photons(), data.positions_px)
    yield "right", "silent" if found is None else "false alarm"
    shuffled = np.random.default_rng([20, seed]).permutation(data.views)
    found = two_exposures(data.photons()[shuffled], data.positions_px)
    yield "right, frames shuffled", "silent" if found is None else "false alarm"
    for least in LEAST:
        sample = absorbing(data, seed, least)
        photons = sample.photons().astype(float)
        found = two_exposures(photons, sample.positions_px)
        yield f"absorbs down to {least}", "silent" if found is None else "false alarm"
        for times in TIMES:
            for when in ("now and then", "from a view on"):
                light, dim = exposures(photons, seed, times, when)
                found = two_exposures(light, sample.positions_px)
                right = found is not None and (found.dim == dim).mean() > CLOSE
                said = "silent" if found is None else "found" if right else "wrong views"
                yield f"absorbs down to {least}, {times} of the light {when}", said


def main(first: int, last: int) -> None:
    """Run seeds, print and keep how often each thing is said."""
    found: dict[str, Counter] = {}
    for seed in range(first, last + 1):
        for kind, said in rows(seed):
            found.setdefault(kind, Counter())[said] += 1
    for kind, said in found.items():
        print(f"{kind:58} {dict(said)}")
    keep(f"exposures-{first}", [{"kind": kind, **said} for kind, said in found.items()])


if __name__ == "__main__":
    main(*(int(word) for word in sys.argv[1:3]))
