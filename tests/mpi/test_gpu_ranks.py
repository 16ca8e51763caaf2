"""GPUs over ranks of MPI, on the stand-in for CuPy: sums by NCCL, which the stand-in makes of MPI, and by the host.

What the calls are given (counts, types, addresses, the stream) the stand-in checks, and no number is there before it
was waited for. It says nothing about the driver, about NCCL itself, and about speed.
"""

import json
import shutil
from pathlib import Path

import pytest
from launching import MPIEXEC, TESTS, launched

pytest.importorskip("mpi4py", reason="mpi4py is not installed")
pytestmark = [
    pytest.mark.skipif(MPIEXEC is None, reason="there is no mpiexec: pip install mpich"),
    pytest.mark.skipif(shutil.which("g++") is None, reason="no g++: CUDA kernels cannot be compiled for the CPU"),
]
JOB = Path(__file__).with_name("gpu_job.py")


def found_on(ranks, tmp_path_factory, *cases):
    """Return what a job finds; kernels that other tests have compiled are found there."""
    base = tmp_path_factory.getbasetemp()
    kernels = (base.parent if base.name.startswith("popen-") else base) / "standin_kernels"
    kernels.mkdir(exist_ok=True)
    done, _ = launched(ranks, JOB, TESTS, kernels, *cases, folder=base, timeout=300)
    assert done.returncode == 0, done.stderr
    return json.loads(next(line for line in done.stdout.splitlines() if line.startswith("{")))


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    return found_on(3, tmp_path_factory)


def test_three_gpus_are_one_process_to_rounding(three):
    """complex128; by both ways; batches and whole scans that leave a rank without views."""
    cases = {name: case for name, case in three.items() if ", nccl" in name or ", host" in name}
    assert len(cases) == 28
    for name, (differs, *_) in cases.items():
        worst = max(differs, key=differs.get)
        assert differs[worst] < 1e-11, (name, worst, differs[worst])
        assert differs["ranks that differ"] == 0
    assert all(far < 1e-11 for way in three["apart"] for far in way)


def test_each_rank_takes_a_gpu_by_its_number_on_the_machine(three):
    for name in (name for name in three if name.endswith(", nccl")):
        _, calls, devices, said = three[name]
        assert devices == [0, 1, 2]
        assert "allReduce" in calls
        assert said == [[]] * 3


def test_ranks_that_share_a_gpu_add_up_through_the_host_and_the_first_one_says_so(three):
    text = "sums over the ranks go through the memory of the host: 3 ranks share 1 GPU; start one rank for each GPU"
    for name in (name for name in three if name.endswith(", host")):
        _, calls, devices, said = three[name]
        assert (calls, devices, said) == ([], [0, 0, 0], [[text], [], []])


def test_a_rank_that_fails_ends_a_sum_that_others_wait_in(three):
    """They leave the communicator of NCCL, and the last whole state can be saved."""
    for met in three["failing"]:
        assert [kind for kind, _, _ in met] == ["RankError", "KeyError", "RankError"]
        assert [at for _, at, _ in met] == [1] * 3
        assert [whole for _, _, whole in met] == [True, False, False]


def test_two_gpus(tmp_path_factory):
    found = found_on(2, tmp_path_factory, "AP", "LSQML")
    for name in ("AP, nccl", "AP, host", "LSQML, nccl", "LSQML, host"):
        assert max(found[name][0].values()) < 1e-11


def test_nccl_that_is_missing_or_old_is_said_with_the_remedy(standin_gpu):
    from opty.arrays.gpu_sums import _hindrance, _Place

    places = [_Place("a", "0", 22000), _Place("a", "1", 22000), _Place("b", "0", 2304)]
    assert _hindrance(places[:2]) is None
    assert _hindrance(places) == "NCCL 2.4 or newer is not installed on b: pip install nvidia-nccl-cu12"


def test_a_type_that_gpus_do_not_add_up_is_named(standin_gpu):
    from opty.arrays.gpu_sums import _type_of

    with pytest.raises(TypeError, match="an array of bool cannot be added up over ranks on GPUs"):
        _type_of(standin_gpu.xp.zeros(3, bool).dtype)


def test_the_way_through_the_host_allocates_once(standin_gpu, monkeypatch):
    import cupy

    from opty.arrays.gpu_sums import ThroughHost

    class Twice:
        rank = 0

        def add_on_host(self, host):
            host *= 2

    sums, made = ThroughHost(), []
    plain = cupy.cuda.alloc_pinned_memory
    monkeypatch.setattr(cupy.cuda, "alloc_pinned_memory", lambda size: made.append(size) or plain(size))
    for shape in ((4, 5), (2, 3), (20,)):
        a = cupy.ones(shape, "complex64")
        sums.add(Twice(), a)
        assert (a.get() == 2).all()
    assert made == [4 * 5 * 8]
