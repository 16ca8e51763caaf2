"""The words of a report: summary, what was found, the recipe as code, how to run it again, versions, checksums."""

from __future__ import annotations

import datetime
import hashlib
import platform
import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from opty.algebra.operator import Identity
from opty.algebra.text import made_by
from opty.analysis import position_report, probe_report
from opty.analysis.geometry_report import geometry_lines
from opty.analysis.misfit import DURING
from opty.files.container import Container
from opty.io.formats import native
from opty.io.formats.kept import read_kept
from opty.memory import size
from opty.state.misfit import compare
from opty.units import metres

if TYPE_CHECKING:
    from opty.state import BareState

MOST_HASHED = 4 << 30  # bytes of the files of a measurement, up to which all of them are read for checksums


@dataclass(frozen=True)
class Told:
    """What a result file says of itself beside its arrays; empty for a state that is in no file."""

    path: Path | None = None
    attention: tuple[str, ...] = ()
    verdict: str | None = None
    search: str | None = None
    software: dict[str, str] = field(default_factory=dict)
    unfinished: str | None = None


def told_by(path: Path) -> Told:
    """Read what a result file says of itself; of a file of another program, nothing but its path."""
    file = Container(path)
    if not native.recognise(file):
        return Told(path)
    kept = read_kept(file)
    asked = None if kept.unfinished is None else repr(kept.unfinished.asked)
    return Told(path, native.attention(file), native.verdict(file), native.search(file), dict(kept.software), asked)


def summary(p: BareState) -> dict[str, str]:
    """Return the numbers of a result in words."""
    data = p.data
    told = {"views": f"{data.views} of {data.n} x {data.n} pixels"}
    if p.data.absent is None:
        sums = compare(p._live)
        told["misfit"] = f"{sums.squares / sums.measured:.4g} of the state as it is, Σ(√I − √Î)² / ΣI"
        told["R-factor"] = f"{sums.moduli / sums.amplitudes:.4g}, Σ|√I − √Î| / Σ√I"
    else:
        told["frames"] = f"not here: {data.absent}"
    if p.history.get("misfit") is not None:
        told["last sweep"] = f"misfit {p.history['misfit'][-1]:.4g}, {DURING}"
    shape = p.numpy("obj").shape
    size_px = " x ".join(map(str, shape))
    told["object"] = size_px + (" px" if p.pixel is None else f" px of {metres(p.pixel)}")
    if (geometry := p.geometry) is not None:
        told["beam"] = f"wavelength {metres(geometry.wavelength)}, {geometry.propagation} field"
        told["detector"] = f"{metres(geometry.distance)} away, pixels of {metres(geometry.pixel_size)}"
    if refined := geometry_lines(p._live.leaves, p.history, data.geometry, data.n):
        told["refined"] = "; ".join(refined)
    told["photons"] = f"{float(np.mean(data.photons())):.4g} a view (mean)"
    told |= {f"probe: {name}": line for name, line in probe_report(p).lines().items() if name != "photons"}
    if (places := position_report(p)) is not None:
        told["positions"] = "; ".join([*places.lines(), *([places.warning] if places.warning else [])])
    if not p.model.thin:
        told["model"] = repr(p.model)
    told["iterations"] = f"{p.iteration}, seed {p.seed}, {p.dtype}"
    return told


def recipe_code(p: BareState) -> str:
    """Return the recipe as the lines of Python that run it."""
    if p.recipe == Identity():
        return f"# {made_by(repr(p.recipe), p.iteration)}"
    text = repr(p.recipe)
    names = sorted(set(re.findall(r"\b([A-Za-z_]\w*)\(", text)))
    source = p.data.source
    start = {"modes": len(p.numpy("probe")), "seed": p.seed, "dtype": str(p.dtype)}
    if not p.model.thin:
        start = {"model": repr(p.model), **{name: start[name] for name in ("seed", "dtype")}}
    given = p._began() is not None
    lines = [
        "import opty",
        f"from opty import {', '.join(names)}",
        "",
        f"data = opty.load({_arguments(source)})" if source else "data = ...  # the measurement, which was in memory",
        f"p = opty.PtychoState(data, {', '.join(f'{name}={value!r}' for name, value in start.items())})",
    ]
    if given:
        lines.append("# part of its start does not follow from the data; the result holds it, and opty rerun uses it")
    return "\n".join([*lines, f"p = {text} * p"])


def _arguments(source: Any) -> str:
    options = "".join(f", {name}={value!r}" for name, value in source.get("options", {}).items())
    return f"{source['path']!r}{options}"


def again(p: BareState, told: Told) -> str:
    """Return the commands that repeat the result."""
    if told.path is None:
        return "# save the state, p.save('out.h5'); then: opty rerun out.h5"
    name = shlex.quote(str(told.path))
    lines = []
    if told.unfinished is not None:
        lines.append(f"opty resume {name}    # goes on to the end of {told.unfinished}")
    if p.recipe != Identity():
        lines.append(f"opty rerun {name}    # repeats it from its data, and compares")
    found = re.search(r"^command\s+(.*)$", told.search or "", re.MULTILINE)
    return "\n".join([*lines, *([found[1]] if found else [])]) or f"opty info {name}"


def checksums(p: BareState, told: Told) -> dict[str, str]:
    """Return SHA-256 of result and measurement, and what was recorded of the measurement when it was read."""
    out = {}
    if told.path is not None:
        out[f"result {told.path.name}"] = f"SHA-256 {_sha256(told.path)}, {size(told.path.stat().st_size)}"
    source = p.data.source
    if source is None:
        return out
    left = MOST_HASHED
    for number, (place, record) in enumerate({source["path"]: source, **source.get("beside", {})}.items()):
        path = Path(place)
        known = f"{size(record['size'])}, SHA-256 of its first megabyte {record['first']}" if "first" in record else ""
        if not path.is_file():
            line = f"not here; when it was read: {known}"
        elif (length := path.stat().st_size) > left:
            line = f"{known} (all of it is not read: the files are larger than {size(MOST_HASHED)})"
        else:
            left -= length
            line = f"SHA-256 {_sha256(path)}, {size(length)}"
        out[f"{'read with it' if number else 'measurement'} {path.name}"] = line
    return out


def versions(told: Told) -> dict[str, str]:
    """Return the software that made the result, and that which wrote the report."""
    from importlib.metadata import version

    here = f"opty {version('opty-ptycho')}, Python {platform.python_version()}, NumPy {np.__version__}"
    made = ", ".join(f"{name} {number}" for name, number in told.software.items())
    now = datetime.datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z")
    return ({"result made with": made} if made else {}) | {"report written with": here, "on": now}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
