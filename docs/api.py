"""Write api.md: every public name with its first line of help, by the package that it is imported from.

python docs/api.py
"""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path
from types import ModuleType
from typing import Any

PACKAGES = {
    "opty": "What a script needs day to day",
    "opty.operators": "All steps; those that are not in `opty` too",
    "opty.model": "Elements of a model",
    "opty.analysis": "What a scan or a result is worth",
    "opty.plot": "Pictures",
    "opty.simulate": "Virtual experiments",
    "opty.simulate.objects": "Objects to simulate",
    "opty.simulate.probes": "Probes to simulate",
    "opty.simulate.scans": "Scans to simulate",
    "opty.testing": "Checks for operators and elements of your own",
}
HERE = Path(__file__).resolve().parent
HEAD = """# Names

Every public name, with the first line of its help; `help(opty.rPIE)` shows the formula, shapes, units and the source.
Written by `python docs/api.py`.
"""


def page() -> str:
    """Return the text of api.md."""
    shown: set[int] = set()
    parts = [HEAD]
    for name, title in PACKAGES.items():
        package = importlib.import_module(name)
        rows = [row for key in names(package) if (row := described(name, key, getattr(package, key), shown))]
        parts.append(f"## {name}\n\n{title}.\n\n| Name | What it is |\n|---|---|\n" + "\n".join(rows) + "\n")
    return "\n".join(parts)


def names(package: ModuleType) -> list[str]:
    """Return the public names of a package, sorted without regard to case."""
    public = getattr(package, "__all__", None) or [
        key for key, value in vars(package).items() if getattr(value, "__module__", None) == package.__name__
    ]
    return sorted((key for key in public if not key.startswith("_")), key=str.lower)


def described(package: str, key: str, value: Any, shown: set[int]) -> str | None:
    """Return a row of the table; None for a name that an earlier package has, and for packages."""
    if id(value) in shown or inspect.ismodule(value):
        return None
    shown.add(id(value))
    first = (inspect.getdoc(value) or "").strip().split("\n\n")[0].replace("\n", " ")
    where = Path(inspect.getsourcefile(inspect.unwrap(value)) or "").resolve().relative_to(HERE.parent).as_posix()
    return f"| [`{key}`](../{where}) | {first.replace('|', chr(92) + '|')} |"


if __name__ == "__main__":
    (HERE / "api.md").write_text(page())
