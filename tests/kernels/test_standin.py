"""The stand-in for CuPy refuses what a GPU refuses, and catches what a GPU would get wrong in silence."""

from __future__ import annotations

import importlib
import sys
import types

import numpy as np
import pytest

import opty.kernels
from opty.arrays import gpu_available


@pytest.fixture
def cupy(standin_gpu):
    return standin_gpu.xp


def run(cupy, code, instance, args, grid=(1,), block=(64,)):
    module = cupy.RawModule(code=code, options=("-std=c++17",), name_expressions=(instance,))
    module.get_function(instance)(grid, block, args)


def test_the_backend_sees_a_device_and_afterwards_what_was_there_before():
    from standin_plugin import standin_cupy

    before, modules = gpu_available(), {n for n in sys.modules if n.split(".")[0] in ("cupy", "cupyx")}
    with standin_cupy() as cupy_backend:
        assert gpu_available()
        assert opty.kernels.backend_for("gpu") is cupy_backend
        assert cupy_backend.name == "gpu"
    assert gpu_available() == before
    assert {n for n in sys.modules if n.split(".")[0] in ("cupy", "cupyx")} == modules
    assert ("opty.kernels.cupy_backend" in sys.modules) == hasattr(opty.kernels, "cupy_backend")


def test_it_stands_on_nothing_of_another_cupy(monkeypatch):
    from standin_plugin import over_cupy, standin_cupy

    others = {name: types.ModuleType(name) for name in over_cupy()}
    assert {"opty.arrays.transfer", "opty.kernels.gpu_engine", "opty.kernels.finite.gpu"} <= others.keys()
    for name, other in others.items():
        monkeypatch.setitem(sys.modules, name, other)
        package, _, attribute = name.rpartition(".")
        monkeypatch.setattr(importlib.import_module(package), attribute, other, raising=False)
    with standin_cupy() as cupy_backend:
        assert cupy_backend not in others.values()
        base = sys.modules["opty.kernels.gpu_base"]
        assert base.cuda is sys.modules["opty.arrays.cuda"]
        assert base.cuda not in others.values()
    for name, other in others.items():
        package, _, attribute = name.rpartition(".")
        assert getattr(sys.modules[package], attribute) is sys.modules[name] is other


@pytest.mark.parametrize(
    "mix",
    [
        lambda a, b: a + b,
        lambda a, b: b * a,
        lambda a, b: np.add(a, b),
        lambda a, b: np.add(b, b, out=a),
        lambda a, b: a.__setitem__(slice(None), b),
        lambda a, b: b.__iadd__(a),
        lambda a, b: np.asarray(a),
        lambda a, b: b.__setitem__(slice(None), a),
        lambda a, b: np.concatenate([a, b]),
    ],
)
def test_it_does_not_mix_with_numpy(cupy, mix):
    with pytest.raises(TypeError):
        mix(cupy.arange(3.0), np.arange(3.0))


def test_results_stay_on_the_device(cupy):
    a = cupy.arange(6, dtype="float32").reshape(2, 3)
    for b in (a + 1, 2 * a, -a, a.T, a[0], a[0, 1], a.sum(), a.sum(axis=0), cupy.abs(a), np.sqrt(a), cupy.fft.fft2(a)):
        assert isinstance(b, cupy.ndarray)
        assert not isinstance(b, np.ndarray)
    assert a.sum().shape == ()
    assert float(a.sum()) == 15
    assert cupy.fft.fft2(a).dtype == np.complex64
    kept = a
    a += 1
    a[0, 1] = 7
    element = a[1, 2]
    element += 10
    assert kept is a
    assert np.array_equal(a.get(), [[1, 7, 3], [4, 5, 16]])


@pytest.mark.parametrize("name", ["errstate", "block", "vecdot", "trapezoid"])
def test_it_has_no_name_that_cupy_lacks(cupy, name):
    assert hasattr(np, name) or name in ("vecdot", "trapezoid")  # these came with NumPy 2
    with pytest.raises(AttributeError):
        getattr(cupy, name)


SUM = """
template <class T> __global__ void sum(const T* a, T* out) {
    __shared__ T kept[64];
    kept[threadIdx.x] = a[threadIdx.x];
    BARRIER
    T total = 0;
    for (int i = 0; i < 64; ++i) total += kept[i];
    out[threadIdx.x] = total;
}
"""


def test_a_missing_barrier_shows(cupy):
    a = cupy.arange(1, 65, dtype="int32")
    right, wrong = cupy.zeros(64, "int32"), cupy.zeros(64, "int32")
    run(cupy, SUM.replace("BARRIER", "__syncthreads();"), "sum<int>", (a, right))
    run(cupy, SUM.replace("BARRIER", ""), "sum<int>", (a, wrong))
    assert (right.get() == 2080).all()
    assert (wrong.get() != 2080).any()


def test_a_barrier_that_not_all_threads_reach_is_reported(cupy):
    a, code = cupy.zeros(64, "int32"), SUM.replace("BARRIER", "if (threadIdx.x < 40) __syncthreads();")
    with pytest.raises(RuntimeError, match="never reach"):
        run(cupy, code, "sum<int>", (a, a.copy()))


def test_writing_outside_an_array_is_reported(cupy):
    code = "template <class T> __global__ void put(T* a, int i) { if (threadIdx.x == 0) a[i] = 1; }"
    a = cupy.zeros(8, "float32")
    run(cupy, code, "put<float>", (a, np.int32(7)))
    assert a.get()[7] == 1
    for outside in (-1, 8):
        with pytest.raises(RuntimeError, match="ILLEGAL_ADDRESS"):
            run(cupy, code, "put<float>", (a, np.int32(outside)))


def test_arguments_that_a_kernel_would_misread_are_reported(cupy):
    code = "template <class T> __global__ void put(T* a, int i) { if (threadIdx.x == 0) a[i] = 1; }"
    a = cupy.zeros(8, "float32")
    with pytest.raises(RuntimeError, match="another width"):
        run(cupy, code, "put<float>", (a, np.int64(1)))
    with pytest.raises(RuntimeError, match="element size"):
        run(cupy, code, "put<double>", (a, np.int32(1)))
    with pytest.raises(RuntimeError, match="number of arguments"):
        run(cupy, code, "put<float>", (a,))
    with pytest.raises(AssertionError, match="not C-contiguous"):
        run(cupy, code, "put<float>", (cupy.zeros((4, 4), "float32").T, np.int32(1)))
    with pytest.raises(TypeError, match="Unsupported type"):
        run(cupy, code, "put<float>", (np.zeros(8, "float32"), np.int32(1)))
    with pytest.raises(RuntimeError, match="INVALID_VALUE"):
        run(cupy, code, "put<float>", (a, np.int32(1)), block=(2048,))


def test_threads_blocks_and_warps_are_numbered_as_on_a_gpu(cupy):
    code = """
    template <class T> __global__ void where(T* a) {
        const int block = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
        const int thread = (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
        const unsigned odd = __ballot_sync(0xffffffffu, thread % 2);
        const double next = __shfl_down_sync(0xffffffffu, (double)thread, 3);
        const int size = blockDim.x * blockDim.y * blockDim.z;
        a[block * size + thread] = block * 1000 + (odd == 0xaaaaaaaau ? (T)next : -1);
    }
    """
    a = cupy.zeros((6, 64), "int32")
    run(cupy, code, "where<int>", (a,), grid=(1, 2, 3), block=(4, 8, 2))
    thread = np.arange(64)
    next_of = np.where(thread % 32 < 29, thread + 3, thread)
    assert np.array_equal(a.get(), 1000 * np.arange(6)[:, None] + next_of)


ADD = "template <class T> __global__ void add(T* a, T b) { a[threadIdx.x] += b; }"


def captured(cupy, work):
    """Return the graph of what ``work`` launches."""
    stream = cupy.cuda.Stream(non_blocking=True)
    with stream:
        stream.begin_capture()
        try:
            work()
        finally:
            graph = stream.end_capture()
    return graph


def test_what_is_captured_runs_when_its_graph_is_launched(cupy):
    from cupy.cuda import cufft
    from cupyx.scipy.fft import get_fft_plan

    a, b = cupy.zeros(64, "int32"), cupy.ones((3, 4, 8), "complex64")
    plan = get_fft_plan(b, axes=(1, 2))

    def work():
        run(cupy, ADD, "add<int>", (a, np.int32(3)))
        plan.fft(b, b, cufft.CUFFT_FORWARD)
        plan.fft(b, b, cufft.CUFFT_INVERSE)

    graph = captured(cupy, work)
    assert not a.get().any()
    a[...] = 1
    graph.launch()
    graph.launch()
    assert (a.get() == 7).all()
    assert np.allclose(b.get(), 32**2)
    assert cupy.cuda.get_current_stream() is cupy.cuda.Stream.null


@pytest.mark.parametrize(
    "work",
    [
        lambda c, a: c.zeros(3),
        lambda c, a: c.empty_like(a),
        lambda c, a: c.asarray(np.zeros(3)),
        lambda c, a: c.ndarray(3),
        lambda c, a: a + 1,
        lambda c, a: a.__iadd__(1),
        lambda c, a: c.sqrt(a, out=a),
        lambda c, a: c.abs(a),
        lambda c, a: a.sum(),
        lambda c, a: a.copy(),
        lambda c, a: a.fill(0),
        lambda c, a: a[a > 0],
        lambda c, a: a.__setitem__(0, 1),
        lambda c, a: a.get(),
        lambda c, a: float(a[0, 0]),
        lambda c, a: a.set(np.zeros((4, 8))),
        lambda c, a: c.fft.fft2(a),
        lambda c, a: c.cuda.Device().synchronize(),
    ],
)
def test_a_capture_holds_kernels_and_planned_transforms_only(cupy, work):
    a = cupy.ones((4, 8))
    with pytest.raises(RuntimeError, match="while a stream is capturing"):
        captured(cupy, lambda: work(cupy, a))
    work(cupy, a)


def test_views_are_no_work(cupy):
    a = cupy.ones((4, 8), "complex64")
    graph = captured(cupy, lambda: [a[1:3], a[None], a.reshape(2, -1), a.T, a.real, cupy.ascontiguousarray(a), len(a)])
    assert graph.nodes == []


def test_a_graph_keeps_nothing_alive(cupy):
    from cupy.cuda import cufft
    from cupyx.scipy.fft import get_fft_plan

    arrays = [cupy.zeros(64, "int32")]
    graph = captured(cupy, lambda: run(cupy, ADD, "add<int>", (arrays[0], np.int32(3))))
    graph.launch()
    arrays.clear()
    with pytest.raises(RuntimeError, match="memory that was freed"):
        graph.launch()
    b = cupy.ones((3, 4, 8), "complex64")
    plans = [get_fft_plan(b, axes=(1, 2))]
    graph = captured(cupy, lambda: plans[0].fft(b, b, cufft.CUFFT_FORWARD))
    plans.clear()
    with pytest.raises(RuntimeError, match="a plan that was destroyed"):
        graph.launch()


def test_a_graph_works_on_what_has_been_made_where_it_works(cupy):
    arrays = [cupy.zeros(64, "int32")]
    where = arrays[0].data.ptr
    graph = captured(cupy, lambda: run(cupy, ADD, "add<int>", (arrays[0], np.int32(3))))
    arrays.clear()
    while not arrays or arrays[-1].data.ptr != where:
        arrays.append(cupy.zeros(64, "int32"))
        assert len(arrays) < 10000
    graph.launch()
    assert (arrays[-1].get() == 3).all()


def test_streams_that_cannot_be_captured_are_refused(cupy):
    with pytest.raises(RuntimeError, match="default"):
        cupy.cuda.Stream.null.begin_capture()
    with pytest.raises(AssertionError, match="non-blocking"):
        cupy.cuda.Stream().begin_capture()
    with pytest.raises(AssertionError, match="nothing would be captured"):
        cupy.cuda.Stream(non_blocking=True).begin_capture()


def test_a_plan_takes_what_it_was_made_for(cupy):
    from cupy.cuda import cufft
    from cupyx.scipy.fft import get_fft_plan

    a = cupy.ones((3, 4, 8), "complex64")
    plan = get_fft_plan(a, axes=(1, 2))
    for wrong in (a[:2], a.astype("complex128"), a.swapaxes(1, 2)):
        with pytest.raises(AssertionError, match="a plan for"):
            plan.fft(wrong, wrong, cufft.CUFFT_FORWARD)
    with pytest.raises(RuntimeError, match="CUFFT_INVALID_PLAN"):
        get_fft_plan(a[:0], axes=(1, 2)).fft(a[:0], a[:0], cufft.CUFFT_FORWARD)


def test_one_array_given_twice_is_one_memory(cupy):
    code = "template <class T> __global__ void twice(T* a, const T* b) { a[threadIdx.x] = 2 * b[threadIdx.x]; }"
    a = cupy.arange(64, dtype="int32")
    run(cupy, code, "twice<int>", (a, a))
    assert np.array_equal(a.get(), 2 * np.arange(64))
    with pytest.raises(AssertionError, match="two arrays that begin at one address"):
        run(cupy, code, "twice<int>", (a, a[:32]))


def test_a_barrier_in_a_kernel_that_first_had_none_is_reported(cupy):
    code = "template <class T> __global__ void now_and_then(T* a) { if (a[0] > 0) __syncthreads(); }"
    kernel = cupy.RawModule(code=code, options=("-std=c++17",), name_expressions=("now_and_then<int>",))
    launch = kernel.get_function("now_and_then<int>")
    launch((1,), (64,), (cupy.zeros(1, "int32"),))
    with pytest.raises(RuntimeError, match="had none in its first launch"):
        launch((1,), (64,), (cupy.ones(1, "int32"),))
