"""The page: HTML, its style, and the script that enlarges pictures; nothing is fetched from anywhere."""

from __future__ import annotations

import base64
import html
from collections.abc import Mapping, Sequence
from string import Template

_PAGE = Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<meta name="generator" content="$generator">
<title>$title</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1100px; margin: 2em auto; padding: 0 1em; color: #1b1b1b }
h1 { font-size: 1.5em; margin-bottom: 0 } h2 { font-size: 1.15em; margin-top: 2em; border-bottom: 1px solid #ccc }
table { border-collapse: collapse } td { padding: .15em .9em .15em 0; vertical-align: top }
td:first-child { color: #666 }
pre { background: #f5f5f3; padding: .8em; overflow-x: auto; font-size: 13px; white-space: pre-wrap }
figure { margin: 1em 0 } figcaption { color: #666; font-size: .9em }
figure img { max-width: 100%; cursor: zoom-in }
.verdict { display: inline-block; padding: .1em .7em; border-radius: .3em; background: #e4e4e1 }
.right { background: #cfe8df } .doubtful { background: #f6d9c3 }
.attention li { color: #8a3b00 }
#zoom { position: fixed; inset: 0; background: rgba(20,20,20,.93); overflow: auto; display: none; cursor: zoom-out }
#zoom img { display: block; margin: auto; transform-origin: 0 0; background: white }
@media print { #zoom { display: none !important } }
</style>
</head>
<body>
<h1>$title</h1>
<p>$subtitle</p>
$body
<div id="zoom"><img alt=""></div>
<script>
const zoom = document.getElementById("zoom"), large = zoom.querySelector("img");
let width = 0;
for (const image of document.querySelectorAll("figure img")) {
  image.tabIndex = 0;
  const open = () => {
    large.src = image.src; large.alt = image.alt; zoom.style.display = "block";
    width = Math.max(image.naturalWidth, window.innerWidth * 0.95); large.style.width = width + "px";
  };
  image.addEventListener("click", open);
  image.addEventListener("keydown", event => { if (event.key === "Enter") open(); });
}
const close = () => { zoom.style.display = "none"; };
zoom.addEventListener("click", close);
document.addEventListener("keydown", event => { if (event.key === "Escape") close(); });
zoom.addEventListener("wheel", event => {
  if (!event.ctrlKey && !event.shiftKey) return;
  event.preventDefault();
  width = Math.min(Math.max(width * (event.deltaY < 0 ? 1.2 : 1 / 1.2), 300), 20000);
  large.style.width = width + "px";
}, { passive: false });
</script>
</body>
</html>
""")


def page(title: str, subtitle: str, body: Sequence[str], generator: str) -> str:
    """Return the whole page; ``body`` are its parts, as HTML."""
    words = {"title": title, "subtitle": subtitle, "generator": generator}
    return _PAGE.substitute({name: html.escape(text) for name, text in words.items()}, body="\n".join(body))


def heading(text: str) -> str:
    """Return a heading."""
    return f"<h2>{html.escape(text)}</h2>"


def table(rows: Mapping[str, str]) -> str:
    """Return a table of names and texts."""
    cells = (f"<tr><td>{html.escape(name)}</td><td>{html.escape(text)}</td></tr>" for name, text in rows.items())
    return f"<table>{''.join(cells)}</table>"


def code(text: str) -> str:
    """Return a text as it stands, in letters of equal width."""
    return f"<pre>{html.escape(text)}</pre>"


def paragraph(text: str) -> str:
    """Return a paragraph."""
    return f"<p>{html.escape(text)}</p>"


def warnings(lines: Sequence[str]) -> str:
    """Return a list of warnings."""
    return f'<ul class="attention">{"".join(f"<li>{html.escape(line)}</li>" for line in lines)}</ul>'


def verdict(word: str, reasons: str) -> str:
    """Return the verdict with its colour, and the reasons."""
    kind = {"right": "right", "doubtful": "doubtful"}.get(word, "")
    return f'<p><span class="verdict {kind}">{html.escape(word)}</span> {html.escape(reasons)}</p>'


def picture(png: bytes, caption: str) -> str:
    """Return a picture that is part of the page, with a caption; a click enlarges it."""
    data, text = base64.b64encode(png).decode("ascii"), html.escape(caption)
    return f'<figure><img alt="{text}" src="data:image/png;base64,{data}"><figcaption>{text}</figcaption></figure>'
