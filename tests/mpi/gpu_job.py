"""What ranks of MPI do on the stand-in for CuPy, for test_gpu_ranks.py: mpiexec -n 3 python gpu_job.py TESTS FOLDER.

Each case runs with sums by NCCL and through the host; the first rank prints JSON. FOLDER keeps compiled kernels; names
of cases may follow.
"""

import json
import sys
import warnings
from pathlib import Path

sys.path[:0] = [sys.argv[1], f"{sys.argv[1]}/kernels"]
from standin_plugin import standin_cupy  # noqa: E402

FOLDER = Path(sys.argv[2])
WANTED = [
    "AP",
    "DM, 11 views",
    "ML",
    "background, intensities",
    "a user's operator",
    "two slices",
    "LSQML",
    "LSQML, rows of views",
    "LSQML, columns of views",
    "LSQML, two views",
    "PIE",
    "positions",
    "coarse",
    "two views",
]


def pretend(by):
    """Give each rank a GPU of its own, or all of them one."""
    import cupy
    from rank_cases import COMM

    cupy.cuda.runtime.COUNT, cupy.cuda.runtime.current = (COMM.size, 0) if by == "nccl" else (1, 0)
    cupy.cuda.nccl.CALLS.clear()


def on_ranks(text, options, by):
    """Return how far the ranks end from one process, the calls of NCCL, the devices, and what was said of the way."""
    import cupy
    from rank_cases import COMM, equal

    pretend(by)
    with warnings.catch_warnings(record=True) as met:
        warnings.simplefilter("always")
        found = equal(text, dict(options), "gpu")
    said = COMM.gather([str(one.message) for one in met if "the memory of the host" in str(one.message)])
    return found, sorted(set(cupy.cuda.nccl.CALLS)), COMM.gather(cupy.cuda.runtime.current), said


def apart(by):
    """Return how far PIE in small batches ends from the same ranks on the CPU."""
    from rank_cases import COMM, DOUBLE, far
    from small_scans import scan

    import opty

    pretend(by)
    p = opty.PtychoState(scan(views=14, fractional=False), **DOUBLE)
    a, b = (opty.rPIE(alpha=0.3) ** 3 * p.to(device).over(COMM) for device in ("gpu", "cpu"))
    return [far(a.numpy(name), b.numpy(name)) for name in ("obj", "probe")]


def failing(by):
    """Return what each rank meets where one fails while the others wait for its sums, and what can be saved then."""
    from rank_cases import COMM, MACHINE
    from small_scans import scan

    import opty

    pretend(by)

    class FailsOnGpu(opty.ViewOperator, reads="waves"):
        def apply(self, s, b):
            if s.iteration == 2 and COMM.rank == 1:
                raise KeyError("a fault of rank 1")

    p = opty.PtychoState(scan(), comm=COMM.Dup(), **MACHINE | {"device": "gpu"})
    try:
        (FailsOnGpu() * opty.AP()) ** 4 * p
    except Exception as error:
        whole = error.state.gather()
        return COMM.gather((type(error).__name__, error.state.iteration, whole is not None))
    return None


with standin_cupy() as backend:
    assert backend.name == "gpu"
    sys.modules["cupy._raw"].FOLDER = FOLDER
    from rank_cases import CASES, COMM

    wanted = sys.argv[3:] or WANTED
    out = {f"{name}, {by}": on_ranks(*CASES[name], by) for name in wanted for by in ("nccl", "host")}
    out |= {"apart": [apart(by) for by in ("nccl", "host")], "failing": [failing(by) for by in ("nccl", "host")]}
    if COMM.rank == 0:
        print(json.dumps(out), flush=True)
