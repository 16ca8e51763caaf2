"""Where arrays live: which device there is, and how arrays and numbers move between it and the host.

    thread_pool.py    work shared by threads, on the CPU
    transfer.py       blocks of host arrays sent to a GPU through pinned memory, on a stream that runs beside the work
    async_scalars.py  numbers copied back from a GPU while it goes on
    locked_gpu.py     arrays on a GPU that a step may read and not write
    ranks.py          the processes that share the views of a scan (MPI), and sums over all of them
    gpu_sums.py       these sums of arrays on GPUs: by NCCL, or through the host
    cuda.py           compiles and launches the CUDA sources of opty/kernels
    graphs.py         captures launches as CUDA graphs (opty/runtime/graph_replay.py replays them)

Modules that import CuPy are imported only where a device was found.
"""

from __future__ import annotations

import functools
import warnings

INSTALL = 'pip install "opty-ptycho[cuda12x]" (or [cuda13x], as the driver allows)'


class CaptureError(RuntimeError):
    """The driver does not capture what was launched; nothing of it ran."""


@functools.cache
def why_no_gpu() -> str | None:
    """Return None where CuPy finds a device, else the reason why there is none."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # CuPy warns about a missing toolkit; we only ask whether it works
            import cupy

            count = cupy.cuda.runtime.getDeviceCount()
    except ImportError as error:
        return f"CuPy cannot be imported ({error}); {INSTALL}"
    except Exception as error:  # CuPy's runtime errors are of many types, and none of them is ours to handle
        return f"CuPy finds no device ({type(error).__name__}: {error})"
    return None if count else "CuPy finds no device"


def gpu_available() -> bool:
    """Say whether CuPy is installed and sees a device."""
    return why_no_gpu() is None
