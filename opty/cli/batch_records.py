"""What `opty batch` keeps of each scan, in a file beside its result, and what follows from it for the next call."""

from __future__ import annotations

import dataclasses
import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from opty.errors import FormatError, RecipeError
from opty.files.atomic import atomic
from opty.files.fingerprint import fingerprint

Outcome = Literal["waiting", "running", "done", "failed", "interrupted"]
Task = Literal["nothing", "run", "resume"]


@dataclass
class Record:
    """One scan of a batch: its file, its result, what was asked for, and what came of it.

    ``figures`` : what the command printed as JSON. ``seen`` : fingerprint of the scan's file, None where it is no file.
    """

    scan: str
    asked: list[str]
    state: Outcome = "waiting"
    error: str | None = None
    seconds: float | None = None
    exit_code: int | None = None
    command: str = ""
    seen: dict[str, Any] | None = None
    figures: dict[str, Any] = field(default_factory=dict)

    def write(self, path: Path) -> None:
        """Write the record, whole or not at all."""
        with atomic(path) as part:
            part.write_text(json.dumps(dataclasses.asdict(self), indent=1) + "\n")

    @classmethod
    def read(cls, path: Path) -> Record | None:
        """Return the record in a file, or None where there is none; ValueError for a file of another kind."""
        if not path.exists():
            return None
        try:
            return cls(**json.loads(path.read_text()))
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"{path} is no record of opty batch ({error}); move it, or choose another folder"
            ) from None


@dataclass
class Scan:
    """A scan of a batch, with the files of its own in the folder of results."""

    file: Path
    folder: Path
    name: str
    record: Record

    @property
    def result(self) -> Path:
        """The result file."""
        return self.folder / f"{self.name}.h5"

    @property
    def report(self) -> Path:
        """The report, where one is asked for."""
        return self.folder / f"{self.name}.html"

    @property
    def log(self) -> Path:
        """Warnings and errors of the last run."""
        return self.folder / f"{self.name}.log"

    def keep(self) -> None:
        """Write the record."""
        self.record.write(self._kept)

    def look_again(self) -> None:
        """Read the record again, where there is one."""
        self.record = Record.read(self._kept) or self.record

    @property
    def _kept(self) -> Path:
        return self.folder / f"{self.name}.json"


def scans_of(files: Sequence[Path], folder: Path, asked: list[str], overwrite: bool) -> list[Scan]:
    """Return the scans of a batch, each with its name in the folder and its record, in the order given.

    A name is that of the file, with the names of folders before it as far as they tell scans apart; a scan with a
    record keeps its name. Raises ValueError where a result was made by other options, and FileExistsError where a file
    is there that no batch made, both unless ``overwrite``.
    """
    places = list(dict.fromkeys(file.absolute() for file in files))
    known = {record.scan: (path.stem, record) for path, record in _records(folder)}
    taken = {name for name, _ in known.values()}
    found: list[Scan] = []
    for place in places:
        name, record = known.get(str(place), ("", None))
        if record is None:
            name = _name(place, places, taken)
            taken.add(name)
            if (folder / f"{name}.h5").exists() and not overwrite:
                raise FileExistsError(
                    f"{folder / name}.h5 is there already, and opty batch did not make it: choose another folder, or "
                    "replace it with --overwrite"
                )
        elif record.asked != asked and not overwrite:
            raise ValueError(
                f"{folder / name}.h5 was made from {place} by {shlex.join(record.asked)}, not by {shlex.join(asked)}: "
                "choose another folder, or do all again with --overwrite"
            )
        if record is None or overwrite:
            record = Record(str(place), asked)
        found.append(Scan(place, folder, name, record))
    return found


def task_of(scan: Scan, overwrite: bool) -> Task:
    """Return what is to be done for a scan: nothing, go on with a checkpoint, or all of it."""
    record = scan.record
    if overwrite or record.state == "waiting" or record.seen != seen(scan.file) or not scan.result.exists():
        return "run"
    if record.state == "done":
        return "nothing"
    return "resume" if _unfinished(scan.result) else "run"


def seen(file: Path) -> dict[str, Any] | None:
    """Return the fingerprint of a scan's file; None for a folder, and where there is none."""
    return fingerprint(file) if file.is_file() else None


def _records(folder: Path) -> list[tuple[Path, Record]]:
    paths = [path for path in sorted(folder.glob("*.json")) if path.name != "summary.json"]
    return [(path, record) for path in paths if (record := Record.read(path)) is not None]


def _name(place: Path, places: Sequence[Path], taken: set[str]) -> str:
    """Return the shortest end of a path that no other path of the batch has, and no record; its parts joined by -."""
    for k in range(len(place.parts) - 1):
        parts = _parts(place)[-1 - k :]
        shared = any(other != place and _parts(other)[-1 - k :] == parts for other in places)
        name = "-".join(parts)
        if not shared and name not in taken and name != "summary":
            return name
    raise ValueError(f"{place} cannot be told from the others by its name; choose another folder for it")


def _parts(place: Path) -> tuple[str, ...]:
    packed = place.name.removesuffix(".bz2").removesuffix(".gz")
    return (*place.parts[1:-1], Path(packed).stem)


def _unfinished(result: Path) -> bool:
    """Return whether a result is a checkpoint, with which opty resume goes on."""
    from opty.files.container import Container
    from opty.io.formats.kept import read_kept

    try:
        return read_kept(Container(result)).unfinished is not None
    except (FormatError, OSError, RecipeError):
        return False
