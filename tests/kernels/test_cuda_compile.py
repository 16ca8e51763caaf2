"""Every CUDA source compiles, in every template instance that the backend can ask for; no GPU is needed for that.

The compiler's front end, which knows the language, sees every instance for every architecture. To make code of one
takes a hundred times as long: that is done for the last instance of each kernel, which has the largest values, and in
slow tests for instances that have, among them, each value of each template argument.
"""

from __future__ import annotations

import ctypes
import importlib.util
from pathlib import Path

import pytest
from standin_plugin import standin_cupy

import opty.kernels

with standin_cupy():  # the stand-in only lets the module be imported; nothing is compiled by it here
    from opty.arrays import cuda
    from opty.kernels.instances import instances

    INSTANCES = instances()
    SOURCES = {file: cuda.source(file) for file in INSTANCES}
    OPTIONS = cuda.OPTIONS
FRONT_END = "-dlto"  # NVRTC then stops at what a linker would make code of


@pytest.fixture(scope="module")
def nvrtc() -> ctypes.CDLL:
    """NVIDIA's run-time compiler, from the package of the test extra."""
    spec = importlib.util.find_spec("nvidia") and importlib.util.find_spec("nvidia.cuda_nvrtc")
    if spec is None:
        pytest.skip("nvidia-cuda-nvrtc-cu12 is not installed: the CUDA sources cannot be compiled")
    (library,) = Path(next(iter(spec.submodule_search_locations)), "lib").glob("libnvrtc.so.*")
    return ctypes.CDLL(str(library))


def compiled(nvrtc: ctypes.CDLL, text: str, instances: list[str], *more: str) -> tuple[int, str, list[str]]:
    """Return NVRTC's result code, its log and the mangled names of the instances."""
    program = ctypes.c_void_p()
    assert nvrtc.nvrtcCreateProgram(ctypes.byref(program), text.encode(), b"test.cu", 0, None, None) == 0
    for instance in instances:
        assert nvrtc.nvrtcAddNameExpression(program, instance.encode()) == 0
    options = [option.encode() for option in (*OPTIONS, *more)]
    code = nvrtc.nvrtcCompileProgram(program, len(options), (ctypes.c_char_p * len(options))(*options))
    size = ctypes.c_size_t()
    nvrtc.nvrtcGetProgramLogSize(program, ctypes.byref(size))
    log = ctypes.create_string_buffer(size.value)
    nvrtc.nvrtcGetProgramLog(program, log)
    names, name = [], ctypes.c_char_p()
    for instance in instances if code == 0 else []:
        assert nvrtc.nvrtcGetLoweredName(program, instance.encode(), ctypes.byref(name)) == 0
        names.append(name.value.decode())
    nvrtc.nvrtcDestroyProgram(ctypes.byref(program))
    # The age of an architecture is no fault of the source.
    lines = [line for line in log.value.decode().splitlines() if line.strip() and "are deprecated" not in line]
    return code, "\n".join(lines), names


def covering(instances: list[str]) -> list[str]:
    """Return instances that have each value of each template argument of each kernel, those of large values first."""

    def values(instance: str) -> set[tuple[str, int, str]]:
        name, _, types = instance.rstrip(">").partition("<")
        return {(name, place, value) for place, value in enumerate(types.split(", "))}

    chosen, left = [], set().union(*map(values, instances))
    while left:
        chosen.append(max(reversed(instances), key=lambda instance: len(left & values(instance))))
        left -= values(chosen[-1])
    return chosen


def last_of_each(file: str) -> list[str]:
    """Return one instance of each kernel of a file."""
    return [*{instance.partition("<")[0]: instance for instance in INSTANCES[file]}.values()]


@pytest.mark.parametrize("arch", ["compute_70", "compute_80", "compute_90"])
@pytest.mark.parametrize("file", list(SOURCES))
def test_every_instance_compiles_without_a_warning(nvrtc, file, arch):
    code, log, names = compiled(nvrtc, SOURCES[file], INSTANCES[file], f"-arch={arch}", FRONT_END)
    assert code == 0, log
    assert log == ""
    assert len(set(names)) == len(INSTANCES[file])


@pytest.mark.parametrize("file", list(SOURCES))
def test_machine_code_can_be_made_of_each_kernel(nvrtc, file):
    code, log, _ = compiled(nvrtc, SOURCES[file], last_of_each(file), "-arch=sm_90")
    assert code == 0, log
    assert log == ""


@pytest.mark.slow
@pytest.mark.parametrize("file", list(SOURCES))
def test_machine_code_can_be_made_of_each_template_argument(nvrtc, file):
    code, log, _ = compiled(nvrtc, SOURCES[file], covering(INSTANCES[file]), "-arch=sm_90")
    assert code == 0, log
    assert log == ""


@pytest.mark.slow
@pytest.mark.parametrize("file", list(SOURCES))
def test_the_oldest_architecture_has_all_that_a_kernel_needs(nvrtc, file):
    code, log, _ = compiled(nvrtc, SOURCES[file], last_of_each(file), "-arch=compute_70")
    assert code == 0, log
    assert log == ""


def test_a_covering_choice_has_the_largest_together():
    sides, modes = ("32", "64", "128"), ("0", "1")
    instances = [f"a<float, {side}, {mode}>" for side in sides for mode in modes] + ["b<int>"]
    assert covering(instances) == ["a<float, 128, 1>", "a<float, 64, 0>", "b<int>", "a<float, 32, 1>"]


@pytest.mark.parametrize("more", [(), (FRONT_END,)])
def test_what_is_wrong_in_one_instance_would_be_seen(nvrtc, more):
    text = "template <int n> __global__ void k(int* a) { %s; a[0] = n; }"
    code, log, _ = compiled(nvrtc, text % "int unused", ["k<3>"], "-arch=compute_80", *more)
    assert code == 0
    assert "unused" in log
    for wrong in ("int b[n - 3]", "if constexpr (n > 2) a = absent(n)", "static_assert(n < 3)"):
        assert compiled(nvrtc, text % wrong, ["k<2>", "k<3>"], "-arch=compute_80", *more)[0] != 0, wrong


def test_machine_code_shows_what_is_too_large(nvrtc):
    text = "template <int n> __global__ void k(int* a) { __shared__ int b[n]; b[a[0]] = n; a[1] = b[a[2]]; }"
    assert compiled(nvrtc, text, ["k<8192>"], "-arch=sm_90")[0] == 0
    assert compiled(nvrtc, text, ["k<16384>"], "-arch=sm_90")[0] != 0


def test_every_source_file_is_compiled_here():
    folder = Path(opty.kernels.__file__).parent
    found = {path.relative_to(folder).with_suffix("").as_posix() for path in folder.rglob("*.cu")}
    assert found == set(SOURCES)
