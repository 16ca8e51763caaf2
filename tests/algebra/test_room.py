"""A batch for which there is no room is halved where it only adds up, and refused where it is part of the algorithm."""

import subprocess
import sys

import numpy as np
import pytest
from small_scans import close

import opty
from opty import FourierProject, Sweep, rPIE
from opty.operators import AccumObj, AccumProbe, MergeObj, MergeProbe

AP_ALL = MergeProbe() * MergeObj() * Sweep(AccumProbe() * AccumObj() * FourierProject(), batch="all", order="scan")


def with_at_most(monkeypatch, limit):
    """Let no array of more than ``limit`` bytes be had."""
    empty = np.empty

    def some(shape, dtype=float, *more, **options):
        if np.prod(shape) * np.dtype(dtype).itemsize > limit:
            raise MemoryError("no room")
        return empty(shape, dtype, *more, **options)

    monkeypatch.setattr(np, "empty", some)


def test_a_batch_that_adds_up_is_halved_with_a_warning(p, monkeypatch):
    want = AP_ALL**3 * p
    with_at_most(monkeypatch, 40_000)
    text = r"a batch of 12 views takes .* KiB on the cpu, which is more than there is: continuing with batches of 3"
    with pytest.warns(opty.MemoryWarning, match=text) as caught:
        q = AP_ALL**3 * p
    assert len(caught) == 1
    assert close(q, want, 1e-5)


def test_a_batch_of_the_algorithm_is_refused_with_the_ways_out(p, monkeypatch):
    with_at_most(monkeypatch, 40_000)
    with pytest.raises(MemoryError, match=r"a batch of 12 views takes .* take a smaller batch, fewer modes, or crop"):
        rPIE(batch="all") * p
    assert (rPIE(batch=2) * p).iteration == 1
    with_at_most(monkeypatch, 1000)
    with pytest.raises(MemoryError, match="a batch of 1 view takes"):
        AP_ALL * p


LIMITED = """
import resource, warnings
import numpy as np
import opty
from opty import FourierProject, Sweep
from opty.operators import AccumObj, AccumProbe, MergeObj, MergeProbe
rng = np.random.default_rng(0)
data = opty.PtychoData(rng.poisson(3.0, (2048, 64, 64)).astype("uint8"), np.rint(200 * rng.random((2048, 2))))
p = opty.PtychoState(data, np.ones((64, 64), complex), modes=4, threads=1, device="cpu")
recipe = MergeProbe() * MergeObj() * Sweep(AccumProbe() * AccumObj() * FourierProject(), batch="all", order="scan")
opty.AP() * p
pages = int(open("/proc/self/statm").read().split()[0])
resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + (100 << 20),) * 2)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    q = recipe**2 * p
print(caught[0].category.__name__, q.iteration, bool(np.isfinite(q.obj).all()))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the limit on a process's memory is Linux's")
def test_a_process_that_may_take_little_memory_goes_on():
    found = subprocess.run([sys.executable, "-c", LIMITED], capture_output=True, text=True, check=False)
    assert found.stdout == "MemoryWarning 2 True\n", found.stderr
