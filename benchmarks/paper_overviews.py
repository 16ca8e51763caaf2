"""The two real scans as pictures before any reconstruction, and the time that it takes (Guzzi et al. 2022, Listing 3).

    python -m benchmarks.paper_overviews [--data ../shared/data]

Each scan in a process of its own, from the loaded scan to the written file; libraries are loaded for it too.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

import opty
from benchmarks.paper_pictures import save_with_machine
from benchmarks.record import commit, keep_in, load

ROOT = Path(__file__).resolve().parents[1]
RECORD = ROOT / "benchmarks/results/2026-11-29-paper-overviews.json"
SCANS = {
    "Siemens star": ("siemens-star-small.npz.bz2", {}),
    "P25": ("PETRAIII_P25_Near_Field_Ptycho.cxi", dict(propagation="near", focus_to_sample=3.65e-3)),
}


def drawn(name: str, folder: Path, picture: Path) -> dict:
    """Draw one scan; return its row."""
    file, options = SCANS[name]
    data = opty.load(folder / file, **options)
    begun, cpu = time.monotonic(), time.process_time()
    figure = opty.plot.scan(opty.analysis.scan_overview(data))
    save_with_machine(figure, picture)
    seconds, cpu = time.monotonic() - begun, time.process_time() - cpu
    row = dict(scan=name, views=data.views, n=data.n, seconds=round(seconds, 2), cpu_seconds=round(cpu, 2))
    return row | dict(load=load(), commit=commit())


def main() -> None:
    """Draw, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared/data", help="folder with the real scans")
    parser.add_argument("--one", choices=SCANS, help="draw this one here, and print its row")
    given = parser.parse_args()
    if given.one:
        name = given.one.replace(" ", "_").lower()
        print(json.dumps(drawn(given.one, given.data, ROOT / f"docs/paper/overview_{name}.png")))
        return
    for name in SCANS:
        command = [sys.executable, "-m", "benchmarks.paper_overviews", "--data", str(given.data), "--one", name]
        row = json.loads(subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE).stdout)
        print(row, flush=True)
        keep_in(RECORD, [row], ("scan",))


if __name__ == "__main__":
    main()
