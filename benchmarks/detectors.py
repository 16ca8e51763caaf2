"""Do other readers find in files of detectors what opty finds? Prints a matrix and keeps it.

    python -m benchmarks.detectors [--folder DIR] [--samples DIR] [--output FILE]

The files are written byte by byte (benchmarks/detector_files.py). ``--samples``: a folder with real ones, the unpacked
rsciio/tests/data of RosettaSciIO's sources. RosettaSciIO, LiberTEM, py4DSTEM and fabio (with silx) run in environments
of their own (benchmarks/environments.py). opty reads each file into memory and streamed; every count has to be equal.
"""

from __future__ import annotations

import argparse
import datetime
import json
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import numpy as np

import opty
from benchmarks import environments
from benchmarks.detector_files import BEAM, Sample, written
from benchmarks.environments import PEERS, last_line

READERS = ("rosettasciio", "libertem", "py4dstem", "silx")
RESULTS = Path(__file__).with_name("results")


def real(folder: Path, work: Path) -> dict[str, Sample]:
    """Return the real files in the test data of RosettaSciIO, each in a folder of its own: LiberTEM joins series."""
    out = {}
    for path in sorted((folder / "quantumdetector").rglob("*.mib")):
        alone = work / "real" / path.stem
        alone.mkdir(parents=True)
        for one in (path, path.with_suffix(".hdr")):
            (alone / one.name).symlink_to(one.absolute())
        out[path.stem] = Sample(alone / path.name, "merlin", BEAM)
    master = folder / "arina" / "test_00_master.h5"
    return out | ({master.stem: Sample(master, "arina", BEAM)} if master.is_file() else {})


def ours(sample: Sample, expected: np.ndarray) -> str:
    """Compare what opty reads, in memory and streamed, with what another reader found (..., rows, columns)."""
    rows, columns = expected.shape[-2:]
    edge = min(rows, columns)
    top, left = (rows - edge) // 2, (columns - edge) // 2
    expected = expected.reshape(-1, rows, columns)[:, top : top + edge, left : left + edge]
    if not expected.any():
        return "no counts"
    options = dict(sample.options)
    if sample.kind in ("merlin", "arina") and "scan_shape" not in options:
        options["scan_shape"] = (1, len(expected))
    if rows != columns:
        options["crop"] = edge
    for stream in (False, True):
        found = np.asarray(opty.load(sample.path, stream=stream, **options).intensities)
        if not np.array_equal(found, expected):
            return f"other counts, {found.shape} for {expected.shape}"
    return "equal"


def compared(python: Path, name: str, samples: dict[str, Sample], work: Path) -> dict[str, str]:
    """What one package finds in each file: "equal", or what is different or not read."""
    last_line(environments.command(python, name, PEERS / "read_detectors.py", name, work), 600)
    said = json.loads((work / f"found_{name}.json").read_text())
    with np.load(work / f"found_{name}.npz") as arrays:
        out = {}
        for key, sample in samples.items():
            try:
                out[key] = ours(sample, arrays[f"a{said[key]}"]) if isinstance(said[key], int) else said[key]
            except ValueError as error:
                out[key] = f"opty: {error}"
    return out


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=environments.FOLDER)
    parser.add_argument("--samples", type=Path)
    parser.add_argument("--output", type=Path, default=RESULTS / f"{datetime.date.today()}-detectors.json")
    given = parser.parse_args()
    about = {"date": str(datetime.date.today()), "opty": version("opty-ptycho")}
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        samples = written(work) | ({} if given.samples is None else real(given.samples, work))
        told = {name: [sample.kind, str(sample.path)] for name, sample in samples.items()}
        (work / "samples.json").write_text(json.dumps(told))
        table = {}
        for name in READERS:
            python = environments.environment(given.folder, name)
            about[name] = environments.version(python, name)
            table[name] = compared(python, name, samples, work)
    for key in samples:
        print(f"{key:60}" + "; ".join(f"{name}: {table[name][key]}" for name in READERS))
    files = {key: {name: table[name][key] for name in READERS} for key in samples}
    given.output.write_text(json.dumps(about | {"files": files}, indent=1) + "\n")
    return int(any(said.startswith(("other", "opty")) for found in table.values() for said in found.values()))


if __name__ == "__main__":
    sys.exit(main())
