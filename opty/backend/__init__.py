"""Where arrays live: the same function names for NumPy and for CuPy.

    numpy_backend.py  the CPU: NumPy and SciPy
    cupy_backend.py   the GPU: CuPy, with kernels of our own in the .cu files beside it
    locked_gpu.py what a step may read alone, on a GPU
    async_scalars.py  numbers copied back while the device goes on; finite.cu: is all of a state finite?
    scaling.py    when the scale between object and probe is brought back; scaling.cu: on a GPU
    line.py       the best step along a line, by what trials changed; line.cu: on a GPU
    transfer.py   blocks of host arrays sent to the device through pinned memory on a separate stream

    Fused steps of a sweep, in few passes over the arrays of a batch (operands.py):
    fused_cpu.py  on the CPU, over threads of thread_pool.py; plain.py says what is done, loops.py does it, compiled
    fused_fit.py  those of fits; plain_fit.py and loops_fit.py; noise.py: the models of the noise by number
    fused_sense.py  what is sensed of positions; loops_sense.py
    fused_vary.py   what a view makes of a probe that varies; loops_vary.py
    solve2x2.py   two unknowns for each view, fitted together
    fused_gpu.py  on a GPU, in few launches of kernels.py's; common.cuh is what the .cu files share
                  (fused_fit_gpu.py: those of fits, fits.cuh; fused_sense_gpu.py: what is sensed of positions)
    fft_passes.py there, for windows of usual sizes: with Fourier transforms of our own (fourier.cuh), which do along
                  rows (rows.cu) and columns (columns.cu) what else there is to do with the waves
    correlation_peaks.py  the shift between two images: what every search for it is made of
                  (registration_gpu.py: the search on a GPU, in few launches of registration.cu's)
    graphs.py     captures sweeps as CUDA graphs (opty/runtime/graph_replay.py replays them)

The arrays decide which backend runs; there is no global switch.
"""

from __future__ import annotations

import functools
import importlib
import warnings
from types import ModuleType

INSTALL = 'pip install "opty-ptycho[cuda12x]" (or [cuda13x], as the driver allows)'


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


def get(device: str) -> ModuleType:
    """Return the backend of "cpu" or "gpu".

    Raises ValueError for another name and RuntimeError, with the reason, where there is no GPU.
    """
    if device == "cpu":
        return importlib.import_module("opty.backend.numpy_backend")
    if device != "gpu":
        raise ValueError(f"device is {device!r}; choose 'cpu' or 'gpu'")
    if reason := why_no_gpu():
        raise RuntimeError(f"no GPU to go to: {reason}")
    return importlib.import_module("opty.backend.cupy_backend")
