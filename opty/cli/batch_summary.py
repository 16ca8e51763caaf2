"""The summary of `opty batch`: a line for each scan, tables in CSV and JSON, a contact sheet."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from opty.cli.batch_records import Scan
from opty.files.atomic import atomic

if TYPE_CHECKING:
    from opty.plot.contact import Tile

_NUMBERS = ("misfit", "r_factor", "iterations")


def row(scan: Scan) -> dict[str, Any]:
    """Return what the tables say of a scan; None for what is not known."""
    record, figures = scan.record, scan.record.figures
    there = scan.result.exists()
    return {
        "name": scan.name,
        "scan": record.scan,
        "state": record.state,
        **{name: figures.get(name) for name in _NUMBERS},
        "verdict": figures.get("verdict"),
        "reasons": "; ".join(figures.get("reasons", ())),
        "attention": "; ".join(figures.get("attention", figures.get("said", ()))),
        "seconds": record.seconds,
        "error": record.error,
        "result": str(scan.result) if there else None,
        "log": str(scan.log) if scan.log.exists() else None,
        "command": record.command or None,
    }


def head(width: int) -> str:
    """Return the head of the table that is printed as scans end; ``width`` of the longest name."""
    return f"{'':>9}  {'scan':<{width}}  {'state':<11}  {'misfit':>8}  {'R-factor':>8}  {'verdict':<11}  {'time':>8}"


def line(scan: Scan, at: int, of: int, width: int) -> str:
    """Return the line of a scan in this table, the ``at``-th ``of`` all."""
    found = row(scan)
    fit = ["" if found[name] is None else f"{found[name]:.4g}" for name in ("misfit", "r_factor")]
    time = "" if found["seconds"] is None else f"{found['seconds']:.1f} s"
    text = f"{f'{at}/{of}':>9}  {scan.name:<{width}}  {found['state']:<11}  {fit[0]:>8}  {fit[1]:>8}  "
    text += f"{found['verdict'] or '':<11}  {time:>8}"
    return text.rstrip() + (f"\n{'':>9}  {found['error']}" if found["error"] else "")


def write_tables(folder: Path, scans: Sequence[Scan]) -> list[Path]:
    """Write summary.csv and summary.json; return their paths."""
    rows = [row(scan) for scan in scans]
    table = io.StringIO()
    writer = csv.DictWriter(table, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    texts = {folder / "summary.csv": table.getvalue(), folder / "summary.json": json.dumps(rows, indent=1) + "\n"}
    for path, text in texts.items():
        with atomic(path) as part:
            part.write_text(text)
    return list(texts)


def draw_sheets(folder: Path, scans: Sequence[Scan]) -> list[Path]:
    """Draw contact.png, contact-2.png, ... with 30 objects on each; return their paths."""
    from opty.plot import save_figure
    from opty.plot.contact import PAGE, contact_sheet

    paths = []
    for k in range(0, len(scans), PAGE):
        paths.append(folder / ("contact.png" if not k else f"contact-{k // PAGE + 1}.png"))
        save_figure(contact_sheet([_tile(scan) for scan in scans[k : k + PAGE]]), paths[-1])
    return paths


def _tile(scan: Scan) -> Tile:
    from opty.analysis.illumination import lit_by, photons_on
    from opty.errors import FormatError
    from opty.files.container import Container
    from opty.io.formats.kept import read_kept
    from opty.model.sample import transmission
    from opty.physics.modes import orthogonal
    from opty.plot.contact import Tile, tile

    record, found = scan.record, row(scan)
    told = [f"misfit {found['misfit']:.3g}" if found["misfit"] is not None else "", found["verdict"] or ""]
    note = ", ".join(filter(None, [record.state if record.state != "done" else "", *told]))
    if not scan.result.exists():
        return Tile(scan.name, record.error or record.state)
    try:
        kept = read_kept(Container(scan.result))
    except (FormatError, OSError) as error:
        return Tile(scan.name, str(error))
    leaves, geometry = kept.leaves, kept.fields.get("geometry")
    pixel = None if geometry is None else geometry.sample_pixel(leaves["probe"].shape[-1])
    place = leaves["positions"], leaves["probe"], leaves["obj"].shape
    model = kept.record["model"]
    if model is not None and model.mixture:
        image = orthogonal(leaves["obj"], photons_on(*place))[0]
    else:
        image = transmission(leaves["obj"], False)
    return tile(scan.name, record.error or note, image, lit_by(*place), pixel)
