"""Run the examples of the pages in this folder, print what they print, and draw the pictures beside them.

python docs/models/examples.py            # all of them, half a minute
python docs/models/examples.py slices bin # these pages
"""

from __future__ import annotations

import re
import sys
import types
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
BLOCK = re.compile(r"<!-- example: (?P<name>[\w ]+) -->\n```python\n(?P<code>.*?)```", re.DOTALL)


def examples(page: str) -> dict[str, str]:
    """Return the examples of a page, by their names."""
    return dict(BLOCK.findall((HERE / f"{page}.md").read_text()))


def run(page: str) -> dict[str, Any]:
    """Run the examples of a page one after the other, in a module of their own; returns the names they define."""
    module = types.ModuleType(f"page_{page}")
    sys.modules[module.__name__] = module  # classes of an example can then be pickled
    for name, code in examples(page).items():
        exec(compile(code, f"docs/models/{page}.md, {name}", "exec"), vars(module))
    return vars(module)


def main() -> None:
    """Run the pages that the command line names; their ``fig`` becomes PAGE.png."""
    for page in sys.argv[1:] or sorted(path.stem for path in HERE.glob("*.md")):
        print(f"{page}:")
        names = run(page)
        if "fig" in names:
            names["fig"].savefig(HERE / f"{page}.png", dpi=80)


if __name__ == "__main__":
    main()
