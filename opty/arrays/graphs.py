"""CUDA graphs: kernels and planned transforms captured from a stream, to be launched together again and again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cupy

from opty.arrays import CaptureError

_CAPTURE_ERRORS = range(900, 909)  # cudaErrorStreamCaptureUnsupported and those after it, of captures alone


def captured(work: Callable[[], Any]) -> Any:
    """Return the graph of what ``work`` puts into the current stream; nothing of it runs before ``launch``.

    ``work`` may neither allocate nor wait: the graph holds addresses, and keeps nothing alive that is there. It goes
    into a stream of its own, because the default stream cannot be captured; ``launch`` takes the current stream, after
    whatever was put there before. Raises CaptureError where the driver cannot capture what was launched.
    """
    stream = cupy.cuda.Stream(non_blocking=True)
    try:
        with stream:
            stream.begin_capture()
            try:
                work()
            finally:
                graph = stream.end_capture()
    except cupy.cuda.runtime.CUDARuntimeError as error:
        if error.status not in _CAPTURE_ERRORS:
            raise
        raise CaptureError(str(error)) from error
    return graph
