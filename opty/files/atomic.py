"""Write a file completely or not at all: a reader finds the old file or the new one, never a part."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

POSIX = os.name == "posix"
_FULL = tuple(getattr(errno, name) for name in ("ENOSPC", "EFBIG", "EDQUOT") if hasattr(errno, name))


@contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; it takes the place of ``path`` when the block ends without an exception.

    The temporary file keeps the suffix, so that writers which choose a format by it do so. It is flushed to the disk
    before it is renamed; on an exception (Ctrl-C included) it is removed and an old file stays as it was. A link is
    followed: the file that it points to is replaced.

    Raises
    ------
    FileNotFoundError : there is no such folder, or the block wrote nothing.
    IsADirectoryError : ``path`` is a folder.
    OSError : the block could not write all; it names ``path``.
    """
    path = Path(os.path.realpath(path))
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder; name the file to write in it")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {path.parent} to write {path.name} in; make it first")
    _sweep(path)
    part = path.with_name(f".{path.stem}.{_here()}-{os.getpid()}-{secrets.token_hex(4)}.part{path.suffix}")
    try:
        yield part
        if not part.exists():
            raise FileNotFoundError(f"nothing was written to {part}, so {path.name} stays as it was")
        if path.exists():
            shutil.copymode(path, part)
        _flush(part)
        os.replace(part, path)
    except BaseException as error:
        part.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename == str(part):
            error.filename = str(path)  # the name that the user gave
        if type(error) is OSError and error.filename in (None, str(path)) and error.errno in (None, *_FULL):
            raise _unwritten(path, error) from error
        raise
    if POSIX:
        _flush(path.parent, os.O_RDONLY)


def check_target(path: str | Path) -> None:
    """Refuse, before any work, a file that could not be written at the end of it.

    Raises IsADirectoryError, FileNotFoundError (no such folder) or PermissionError.
    """
    path = Path(path)
    folder = path.absolute().parent
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder; name a file in it, such as {path / 'result.h5'}")
    if not folder.is_dir():
        raise FileNotFoundError(
            f"there is no folder {folder} to write {path.name} in; make it first: mkdir -p {folder}"
        )
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise PermissionError(f"cannot write in {folder} ({error.strerror}); choose another folder") from None


def _unwritten(path: Path, error: OSError) -> OSError:
    """Return the error of a file that was not written, where libraries say neither which one it is nor why."""
    why = error.strerror or " ".join(str(error).split())
    text = f"could not be written whole ({why}): the disk may be full, or a quota or a limit of file sizes reached"
    return OSError(error.errno or errno.EIO, text, str(path))


def _flush(path: Path, mode: int = os.O_RDWR) -> None:
    handle = os.open(path, mode)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _here() -> str:
    """Name of this machine, without the characters that separate the parts of a temporary name."""
    return "".join(c for c in socket.gethostname() if c.isalnum()) or "host"


def _sweep(path: Path) -> None:
    """Remove the temporary files that killed processes of this machine left beside the file."""
    if not POSIX:  # os.kill(pid, 0) would send a signal
        return
    start = f".{path.stem}.{_here()}-"
    for left in path.parent.iterdir():
        if left.name.startswith(start) and left.name.endswith(f".part{path.suffix}"):
            pid = left.name[len(start) :].split("-")[0]
            if pid.isdigit() and not _alive(int(pid)):
                left.unlink(missing_ok=True)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
