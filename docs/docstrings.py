"""Docstrings as reStructuredText, for the site: they are written to be read in ``help()``."""

from __future__ import annotations

import re

SECTION = re.compile(r"^(Parameters|Returns|Yields|Raises|Attributes|Notes|Examples?)$")
ENTRY = re.compile(r"^(?P<names>[\w.*][\w., *]*?) : (?P<text>.*)$")


def to_rst(lines: list[str]) -> list[str]:
    """Return the lines of a docstring as reStructuredText: entries of sections as lists, indented text as it is."""
    whole = re.sub(r"``[^`]+``", lambda code: " ".join(code[0].split()), "\n".join(lines))
    lines, done = whole.split("\n"), list[str]()
    inside, literal, listed = False, False, False
    for i, line in enumerate(lines):
        bare, indent = line.strip(), len(line) - len(line.lstrip())
        after = lines[i + 1].strip() if i + 1 < len(lines) else ""
        if not bare:
            done.append("")
            continue
        literal = literal and indent > 0
        if SECTION.match(bare) and after and set(after) == {"-"}:
            inside = True
            done += [f".. rubric:: {bare}", ""]
            continue
        if set(bare) == {"-"} and i and SECTION.match(lines[i - 1].strip()):
            continue
        entry = ENTRY.match(bare) if inside and not indent else None
        begins = not done or not done[-1]
        if entry:
            done += ["", f"- **{escaped(entry['names'])}**: {escaped(entry['text'])}"]
        elif inside and not literal and not begins:
            done.append("  " + escaped(bare))
        else:
            inside = False
            if indent and begins and not literal:
                literal = True
                if not next(kept for kept in reversed(done) if kept).endswith("::"):
                    done += ["::", ""]
            listed = bool(re.match(r"(\d+\.|-) ", bare)) or (listed and indent > 0)
            done.append(line if literal else " " * (indent * listed) + escaped(bare))
    return done


def escaped(text: str) -> str:
    """Return text in which nothing but ``code`` has a meaning of its own."""
    parts = re.split(r"(``.*?``)", text)
    return "".join(part if part.startswith("``") else re.sub(r"([\\*|`_])", r"\\\1", part) for part in parts)
