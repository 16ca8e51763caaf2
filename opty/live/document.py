"""The page as one document: HTML with its style and scripts inside, so that nothing is fetched from anywhere."""

from __future__ import annotations

import base64
import functools
import hashlib
from importlib.resources import files
from typing import NamedTuple

SCRIPTS = ("colours.js", "curve.js", "picture.js", "main.js")


class Document(NamedTuple):
    """The page and the policy with which a browser may show it: its own style and script, and no others."""

    html: bytes
    policy: str


@functools.cache
def document() -> Document:
    """Return the page."""
    folder = files("opty.live") / "page"
    style = (folder / "style.css").read_text("utf-8")
    script = "'use strict';\n" + "\n".join((folder / name).read_text("utf-8") for name in SCRIPTS)
    whole = (folder / "page.html").read_text("utf-8").replace("/*style*/", style).replace("/*script*/", script)
    policy = (
        f"default-src 'none'; connect-src 'self'; img-src data: blob:; style-src {_hash(style)}; "
        f"script-src {_hash(script)}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return Document(whole.encode(), policy)


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
