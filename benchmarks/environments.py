"""An environment of its own for each of the other packages, made on the first use.

pip makes most of them: about 6 GB in all with PyTorch's CPU build (where pip finds one; the usual one for Linux brings
CUDA and is several times larger). tike imports CuPy and cuFFT, which load without a GPU. PyNX is a package of Debian:
``debootstrap`` makes a small system for it, which takes root. PyPI has no PtyPy: name the Python of an environment that
has it.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PEERS = Path(__file__).with_name("peers")  # the scripts that run inside
FOLDER = Path(tempfile.gettempdir()) / "opty-interop"  # where the environments are, unless another is asked for

_TORCH = ("torch==2.13.0",)
_PTYCHODUS = ("numpy", "scipy", "h5py", "tifffile", "scikit-image", "hdf5plugin", "pyyaml", "psutil", "pydantic")
_CUPY = ("numpy<2", "scipy", "h5py", "matplotlib", "opencv-python-headless<5", "cupy-cuda12x==13.6.0")
INSTALLS: dict[str, tuple[tuple[str, ...], ...]] = {  # what pip installs, one call after the other
    "ptylab": (("ptylab==0.3.7",),),
    "cdtools": (_TORCH, ("cdtools-py==0.3.2", *_TORCH)),
    "ptychi": (_TORCH, ("ptychi==2.2.0", *_TORCH)),
    "ptyrad": (_TORCH, ("ptyrad==1.0.0", *_TORCH)),
    "ptychodus": (_PTYCHODUS, ("--no-deps", "ptychodus==1.7.0")),
    "py4dstem": (("py4DSTEM==0.14.18",),),
    "rosettasciio": (("rosettasciio==0.15.0", "h5py", "hdf5plugin", "tifffile"),),
    "libertem": (("libertem==0.16.0",),),
    "silx": (("silx==3.1.3", "fabio==2026.6.0", "h5py", "hdf5plugin"),),
    "tike": ((*_CUPY, "nvidia-cufft-cu12<12", "nvidia-nvjitlink-cu12"), ("--no-deps", "tike==0.26.0")),
}

DEBIAN = {"pynx": ("trixie", "python3-pynx")}  # suite and package, of systems that debootstrap makes
ELSEWHERE = {"ptypy": "PtyPy"}  # distributions that are on no index
_VERSION = "from importlib.metadata import version; print(version({!r}))"
NEEDS = {"ptyrad": (3, 12)}  # the package says 3.10, but older ones than this cannot parse one of its lines


class PeerError(RuntimeError):
    """Another package cannot be installed, or stopped; the message is the last thing that it said."""


def environment(folder: Path, name: str) -> Path:
    """Return the Python of an environment with the package in it; PeerError with pip's last word if there is none.

    ``folder`` : of all environments; one that is there already is used again.
    """
    if name in DEBIAN:
        return _debian(folder / name, *DEBIAN[name])
    if name in ELSEWHERE:
        if not (folder / name / "bin" / "python").exists():
            raise PeerError(f"{ELSEWHERE[name]} is on no index: install it in an environment {folder / name}")
        return folder / name / "bin" / "python"
    python, ready = folder / name / "bin" / "python", folder / name / "ready.json"
    if not python.exists():
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run([_python(name), "-m", "venv", str(folder / name)], check=True)
    if not ready.exists() or json.loads(ready.read_text()) != [list(step) for step in INSTALLS[name]]:
        for step in INSTALLS[name]:
            last_line([python, "-m", "pip", "install", "-q", *step])
        ready.write_text(json.dumps(INSTALLS[name]))
    return python


def _python(name: str) -> str:
    """Return a Python that the package runs on: this one, or a newer one on the path; PeerError if there is none."""
    least = NEEDS.get(name, (3, 11))
    if sys.version_info >= least:
        return sys.executable
    found = [path for minor in range(least[1], least[1] + 3) if (path := shutil.which(f"python3.{minor}"))]
    if not found:
        raise PeerError(f"{name} needs Python {least[0]}.{least[1]} or newer, and none is on the path")
    return found[0]


def _debian(root: Path, suite: str, package: str) -> Path:
    """Make a small Debian in ``root`` with a package in it; return its Python."""
    python = root / "usr/bin/python3"
    if not (root / "ready").exists():
        if shutil.which("debootstrap") is None:
            raise PeerError(f"{package} is a package of Debian, and there is no debootstrap to make a system for it")
        last_line(["debootstrap", "--variant=minbase", suite, root])
        for step in (["update"], ["install", "-y", "--no-install-recommends", package]):
            last_line(_inside(root, "/usr/bin/env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", *step))
        (root / "ready").touch()
    return python


@contextmanager
def workplace(python: Path, name: str) -> Iterator[Path]:
    """Make a temporary folder that the package can see."""
    inside = python.parents[2] / "tmp" if name in DEBIAN else None
    with tempfile.TemporaryDirectory(dir=inside) as work:
        yield Path(work)


def command(python: Path, name: str, script: Path, *arguments: Path | str) -> list[str]:
    """Return the command that runs a script in an environment; files that it is given are in its workplace."""
    if name not in DEBIAN:
        return [str(python), str(script), *map(str, arguments)]
    root = python.parents[2]
    inside = Path(shutil.copy(script, root / "tmp"))
    seen = [f"/{one.relative_to(root)}" if isinstance(one, Path) else one for one in (inside, *arguments)]
    return _inside(root, "/usr/bin/python3", *seen)


def _inside(root: Path, *command: str) -> list[str]:
    """Return a command in a small Debian, with a /proc and a /sys of its own, into which libraries look."""
    return [
        "unshare",
        "--mount",
        "sh",
        "-c",
        f'mount -t proc proc "{root}/proc" && mount -t sysfs sys "{root}/sys" && exec chroot "{root}" "$@"',
        "sh",
        *command,
    ]


def last_line(command: list, seconds: float = 3600) -> str:
    """Run a command and return its last line; PeerError with it where the command fails."""
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=seconds, check=False)
    if done.returncode:
        lines = [line for line in done.stderr.strip().splitlines() if line.strip()]
        raise PeerError((lines or ["no message"])[-1])
    return (done.stdout.strip().splitlines() or [""])[-1]


def version(python: Path, name: str) -> str:
    """Return the version that is in an environment."""
    if name in DEBIAN:
        asked = ["chroot", python.parents[2], "dpkg-query", "-W", "-f", "${Version}", DEBIAN[name][1]]
        return last_line(asked)
    if name in ELSEWHERE:
        return last_line([python, "-c", _VERSION.format(ELSEWHERE[name])])
    distribution = next(word for word in INSTALLS[name][-1] if not word.startswith("-")).split("==")[0]
    return last_line([python, "-c", _VERSION.format(distribution)])
