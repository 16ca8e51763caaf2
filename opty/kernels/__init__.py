"""What is done with the arrays of a batch: kernels by family, for the CPU and for a GPU side by side.

    numpy_backend.py, cupy_backend.py  the same function names for NumPy and for CuPy
    engine.py         the protocol of an engine: the fused steps of a sweep, in few passes over the arrays of a batch
    cpu_engine.py, gpu_engine.py       the engine on each device, put together from the parts of the families
    workspace.py      its buffers, the same on both; buffers.py: how steps declare them
    cpu_base.py, gpu_base.py           pieces and threads; grids and launches
    operands.py       what was measured of a batch, and stored waves, as engines take them
    compiled.py       how numba compiles loops; kept_code.py: the files in which it keeps them
    instances.py      every instance of the CUDA kernels; common.cuh: what the .cu files share

In each family: ``meaning.py`` says in NumPy what the kernels compute, and runs where numba is not installed;
``loops.py`` has the same functions compiled; the ``.cu`` files do it on a GPU; ``cpu.py`` and ``gpu.py`` are the
family's part of the engines.

    exit_waves/       from object and probe to exit waves; projections and steps of kept waves
    shifts/           probes moved by fractions of a pixel, and the adjoint
    detector/         the Fourier modulus constraint
    fft/              opty's own Fourier transforms for windows of usual sizes (fourier.cuh): along rows (rows.cu) and
                      columns (columns.cu), together with what else is done to the waves (pipeline.py)
    accumulate/       sums over views for object and probe; windows of the object taken and added
    update/           steps of object and probe along these sums; scaling.py: the scale between the two brought back
    likelihood/       slopes and changes of the likelihood; noise.py: its models; line_search.py: the best step
    least_squares/    lengths of steps fitted to each view; solve2x2.py: two unknowns fitted together
    positions/        what a batch tells of its positions; correlation_peaks.py: the shift between two images
    variation/        a probe that varies along the scan: the probe of each view, and steps of what varies
    finite/           is all of a state finite, and inside the object?

What the functions of meaning.py and loops.py take: C-contiguous arrays; obj (H, W) complex; corners (B, 2) int, the
windows' first pixels; illum (B or 1, M, n, n), the probe as each view sees it; waves (B, M, n, n); rows (B,) int, where
the views stand in arrays of more views than those of the batch. ``low`` and ``high`` bound the rows (of object or
probe) that a call may write, so that threads share the work without sharing a pixel: each pixel adds its views in
ascending order, whatever the number of threads. All outputs are written in place.

The arrays decide which backend runs; there is no global switch.
"""

from __future__ import annotations

import importlib
from types import ModuleType

from opty.arrays import why_no_gpu


def backend_for(device: str) -> ModuleType:
    """Return the backend of "cpu" or "gpu".

    Raises ValueError for another name and RuntimeError, with the reason, where there is no GPU.
    """
    if device == "cpu":
        return importlib.import_module("opty.kernels.numpy_backend")
    if device != "gpu":
        raise ValueError(f"device is {device!r}; choose 'cpu' or 'gpu'")
    if reason := why_no_gpu():
        raise RuntimeError(f"there is no GPU: {reason}")
    return importlib.import_module("opty.kernels.cupy_backend")
