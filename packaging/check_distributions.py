"""Build the wheel and the sdist, install each in an environment of its own, and run the demo there: ``make dist``.

Both are built from a clean copy of the files that git knows, or is about to know. Leaves the two files in ``dist/``.
Needs a package index.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def run(*command: str | Path, cwd: Path) -> None:
    """Run a command whose failure ends the check; PYTHONPATH may not lend it the working folder."""
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    environment["MPLBACKEND"] = "Agg"
    subprocess.run([str(part) for part in command], cwd=cwd, env=environment, check=True)


def python_of(folder: Path) -> Path:
    """Make an environment with nothing but pip, and return its interpreter."""
    venv.create(folder, with_pip=True)
    return folder / ("Scripts" if os.name == "nt" else "bin") / "python"


def tracked_copy(folder: Path) -> Path:
    """Copy the files that git tracks, or is about to, into a folder."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    return folder


def main() -> int:
    with tempfile.TemporaryDirectory() as temporary:
        here = Path(temporary)
        builder = python_of(here / "builder")
        run(builder, "-m", "pip", "install", "--quiet", "build", "twine", cwd=here)
        source = tracked_copy(here / "source")
        shutil.rmtree(ROOT / "dist", ignore_errors=True)
        run(builder, "-m", "build", "--outdir", ROOT / "dist", source, cwd=here)
        files = sorted((ROOT / "dist").iterdir())
        run(builder, "-m", "twine", "check", "--strict", *files, cwd=here)
        for file in files:
            began = time.perf_counter()
            folder = here / f"with {file.suffix[1:]}"
            folder.mkdir()
            python = python_of(folder / "environment")
            run(python, "-m", "pip", "install", "--quiet", f"opty-ptycho[all] @ {file.as_uri()}", cwd=folder)
            run(python, "-m", "pip", "check", cwd=folder)
            run(python.with_name("opty"), "demo", cwd=folder)
            if not (folder / "demo.png").stat().st_size > 50_000:
                print(f"{file.name}: the demo wrote no picture")
                return 1
            seconds = time.perf_counter() - began
            print(f"{file.name}: {file.stat().st_size / 1e6:.1f} MB, installed and run in {seconds:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
