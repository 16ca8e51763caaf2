"""What ``opty reconstruct`` says of positions, without --check: false alarms on right scans, and what it finds.

python -m benchmarks.places right SEED ...    right scans
python -m benchmarks.places wrong SEED ...    the same scans with their positions wrong
python -m benchmarks.places modes SEED ...    right scans of up to five modes, those of ``benchmarks.auto``, turned back
python -m benchmarks.places real FILE ...     real scans of the far field, with and without their probes
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np

import opty
from benchmarks import drawn_scans
from benchmarks.auto import straight
from benchmarks.beginner import RESULTS, wrong_places
from benchmarks.wrong_scans import DISTANCE, PIXEL, RECIPE, WAVELENGTH, draw, picture_error
from opty.analysis import find_probe
from opty.analysis.check.frame_statistics import look_at_frames
from opty.analysis.check.trials import searched_excess
from opty.analysis.check.view_places import places_in_brief
from opty.cli.starts import UNEXPLAINED

NAMES = ("positions x 1.15", "positions turned by 10 degrees", "sheared by 15 degrees", "drift of 8 px", "off by 3 px")


def wrong(data: opty.PtychoData, seed: int) -> Iterator[tuple[str, opty.PtychoData]]:
    """Yield a scan with its positions wrong in six ways, by name."""
    yield "distance x 1.5", data.replace(geometry=opty.Geometry(WAVELENGTH, 1.5 * DISTANCE, PIXEL))
    step = WAVELENGTH * DISTANCE / (data.n * PIXEL)
    for name, made in wrong_places(data.positions, step, np.random.default_rng([77, seed])):
        if name in NAMES:
            yield name, data.replace(positions=made)


def told(data: opty.PtychoData) -> dict:
    """Return what is said of a scan, that no probe is found to explain it, CPU seconds, and the picture's error."""
    truth, data = data.truth, data.replace(truth=None)
    began = time.process_time()
    found = find_probe(data, threads=1) if data.probe is None else None
    searched = time.process_time()
    start = data.probe if found is None else found.probe
    said = places_in_brief(data, look_at_frames(data), start).every
    seconds = time.process_time() - searched
    row = {"views": data.views, "pattern": data.n, "probe": found is None, "said": said}
    row["unexplained"] = found is not None and searched_excess(data, found) > UNEXPLAINED
    row |= {"seconds": round(seconds, 2), "search_seconds": round(searched - began, 2)}
    if truth is not None:
        p = RECIPE * opty.PtychoState(data, start, threads=1)
        row["error"] = round(picture_error(p, truth), 3)
    return row


def scans(kind: str, words: tuple[str, ...]) -> Iterator[tuple[str, str, opty.PtychoData]]:
    """Yield seed or file, what is wrong, and the scan."""
    for word in words:
        if kind == "real":
            data = opty.load(word)
            yield Path(word).name, "with its probe", data.replace(truth=None)
            yield Path(word).name, "without", data.replace(truth=None, probe=None)
            continue
        if kind == "modes":
            drawn = drawn_scans.draw(int(word))
            if drawn.wrong["positions off [px]"] == 0 and "distance wrong" not in drawn.wrong:
                yield word, f"{drawn.wrong['modes']} modes", straight(drawn)
            continue
        data = draw(int(word))
        made = [("right", data)] if kind == "right" else wrong(data, int(word))
        yield from ((word, name, one) for name, one in made)


def main(kind: str, *words: str) -> None:
    """Print a row for each scan, and keep those so far."""
    warnings.simplefilter("ignore")
    rows = []
    file = RESULTS.with_name("places") / f"{kind}-{Path(words[0]).name.split('.')[0]}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    for word, name, data in scans(kind, words):
        rows.append({"scan": word, "wrong": name, **told(data)})
        print(rows[-1], flush=True)
        file.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
