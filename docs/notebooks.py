"""The notebooks of examples/: ``python docs/notebooks.py [NAME ...]`` runs them and stores what they show.

``make docs`` makes a page of the site of each one as it is stored.
"""

from __future__ import annotations

import base64
import io
import os
import sys
import tempfile
from pathlib import Path

import nbformat

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
WIDGET = "application/vnd.jupyter.widget-view+json"
PAGES = ("first_reconstruction", "compare_engines", "positions", "electrons", "own_operator", "own_physics", "live")


def read(name: str) -> nbformat.NotebookNode:
    """Return a notebook of examples/ by its name."""
    return nbformat.read(EXAMPLES / f"{name}.ipynb", as_version=4)


def run(notebook: nbformat.NotebookNode, folder: Path) -> None:
    """Run all cells in ``folder``; their outputs take the place of those that are there."""
    import nbclient

    client = nbclient.NotebookClient(
        notebook,
        kernel_name="python3",
        timeout=300,
        coalesce_streams=True,
        resources={"metadata": {"path": folder}},
    )
    # Without the choice of a backend Jupyter takes its own, which shows figures in the notebook.
    client.execute(env={name: value for name, value in os.environ.items() if name != "MPLBACKEND"})


def smaller(picture: str) -> str:
    """Return a PNG picture (base64) with a palette of 256 colours, a third as large."""
    from PIL import Image

    out = io.BytesIO()
    with Image.open(io.BytesIO(base64.b64decode(picture))) as image:
        image.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(out, "PNG", optimize=True)
    return base64.b64encode(out.getvalue()).decode()


def store(name: str) -> None:
    """Run a notebook and write it back, without times and versions of this machine."""
    notebook = read(name)
    with tempfile.TemporaryDirectory() as folder:
        run(notebook, Path(folder))
    notebook.metadata = {"kernelspec": dict(notebook.metadata.kernelspec), "language_info": {"name": "python"}}
    for cell in notebook.cells:
        cell.metadata = {}
        if "outputs" in cell:  # a widget, such as a progress bar, cannot be stored
            cell.outputs = [output for output in cell.outputs if WIDGET not in output.get("data", {})]
        for output in cell.get("outputs", []):
            if "image/png" in output.get("data", {}):
                output.data["image/png"] = smaller(output.data["image/png"])
    nbformat.write(notebook, EXAMPLES / f"{name}.ipynb")


def write_page(name: str, folder: Path) -> None:
    """Write NAME.md and its pictures into ``folder``, two levels below the root of the repository."""
    folder.mkdir(parents=True, exist_ok=True)
    parts = []
    for number, cell in enumerate(read(name).cells):
        if cell.cell_type == "markdown":
            parts.append(cell.source.replace("](../docs/", "](../").replace(".ipynb)", ".md)"))
            continue
        parts.append(f"```python\n{cell.source}\n```")
        for which, output in enumerate(cell.outputs):
            shown = output.get("data", {})
            if "image/png" in shown:
                picture = f"{name}_{number}_{which}.png"
                (folder / picture).write_bytes(base64.b64decode(shown["image/png"]))
                parts.append(f"![what the cell shows]({picture})")
            else:
                text = output.get("text") or shown["text/plain"]
                parts.append(f"```text\n{text.rstrip()}\n```")
    (folder / f"{name}.md").write_text("\n\n".join(parts) + "\n")


if __name__ == "__main__":
    for chosen in sys.argv[1:] or PAGES:
        store(chosen)
