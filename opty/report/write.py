"""report(result, path): gather the parts of a report and write the file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from opty.data import PtychoData
from opty.files.atomic import atomic
from opty.report import contents, page
from opty.report.contents import Told, told_by
from opty.report.pictures import pictures
from opty.state import BareState

if TYPE_CHECKING:
    from opty.analysis import Resolution, Uncertainty

SUFFIXES = (".html", ".htm")


def report(
    result: BareState | str | Path,
    path: str | Path,
    *,
    data: PtychoData | str | Path | None = None,
    resolution: Resolution | None = None,
    uncertainty: Uncertainty | None = None,
) -> None:
    """Write a result as one HTML file, below 5 MB, that opens anywhere without a network.

    Pictures (object, probe, positions, error curve, fit of each view, the beam along z), which a click enlarges; the
    numbers; verdict and warnings; what ``opty auto`` tried; the recipe as code; how to run it again; versions and
    checksums. Without the frames of the measurement, what needs them is left out.

    Parameters
    ----------
    result : state, or the path of a result file, which says more: verdict, warnings, versions. path : to write, .html.
    data : measurement of a result file, in place of the one that it points to.
    resolution, uncertainty : of ``opty.analysis``, to be shown as well.

    Raises
    ------
    ValueError : another suffix, a file that holds a measurement. ImportError : no matplotlib. OSError : a folder that
        cannot be written.
    """
    check_report(path)
    if isinstance(result, BareState):
        p, told = result, Told()
    else:
        p, told = _loaded(Path(result), data), told_by(Path(result))
    text = _text(p, told, resolution, uncertainty)
    with atomic(path) as temporary:
        Path(temporary).write_text(text, encoding="utf-8")


def check_report(path: str | Path) -> None:
    """Refuse a report whose suffix is not that of HTML, or where no matplotlib is there to draw."""
    from opty.plot.figure import import_matplotlib

    if Path(path).suffix.lower() not in SUFFIXES:
        raise ValueError(f"{Path(path).name} does not end with .html: a report is one HTML file")
    import_matplotlib()


def _loaded(path: Path, data: PtychoData | str | Path | None) -> BareState:
    from opty.io import load

    found = load(path) if data is None else load(path, data=data)
    if not isinstance(found, BareState):
        raise ValueError(f"{path} holds a measurement; a report is of a result: opty reconstruct {path} -o result.h5")
    return found


def _text(p: BareState, told: Told, resolution: Resolution | None, uncertainty: Uncertainty | None) -> str:
    source = p.data.source
    name = told.path.name if told.path is not None else "reconstruction"
    of = f"reconstruction of {Path(source['path']).name}" if source else "reconstruction of a measurement in memory"
    body = [page.verdict(*_verdict(told))]
    if told.unfinished is not None:
        body.append(page.paragraph(f"The run is not finished: iteration {p.iteration} of {told.unfinished}"))
    if told.attention:
        body += [page.heading("Attention"), page.warnings(told.attention)]
    images = [page.picture(png, caption) for caption, png in pictures(p, resolution, uncertainty)]
    body += [images[0], page.heading("Numbers"), page.table(contents.summary(p))]
    for title, found in (("Resolution from two halves", resolution), ("Error bars", uncertainty)):
        if found is not None:
            body += [page.heading(title), page.table(found.lines())]
    body += [page.heading("Pictures"), *images[1:], page.heading("Recipe"), page.code(contents.recipe_code(p))]
    if told.search:
        body += [page.heading("How opty auto chose it"), page.code(told.search)]
    body += [page.heading("To run it again"), page.code(contents.again(p, told))]
    body += [page.heading("Files"), page.table(contents.checksums(p, told))]
    versions = contents.versions(told)
    body += [page.heading("Versions"), page.table(versions)]
    return page.page(name, of, body, versions["report written with"])


def _verdict(told: Told) -> tuple[str, str]:
    if told.verdict is None:
        return "not judged", "the result holds no verdict"
    word, _, reasons = told.verdict.partition(": ")
    return word, reasons
