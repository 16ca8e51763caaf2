"""Every CUDA source compiles, in every template instance that the backend can ask for; no GPU is needed for that."""

from __future__ import annotations

import ctypes
import importlib.util
from pathlib import Path

import pytest
from standin_plugin import standin_cupy

with standin_cupy():  # the stand-in only lets the module be imported; nothing is compiled by it here
    from opty.backend import kernels

    INSTANCES = kernels.instances()
    SOURCES = {file: kernels.source(file) for file in INSTANCES}
    OPTIONS = kernels.OPTIONS


@pytest.fixture(scope="module")
def nvrtc() -> ctypes.CDLL:
    """NVIDIA's run-time compiler, from the package of the test extra."""
    spec = importlib.util.find_spec("nvidia") and importlib.util.find_spec("nvidia.cuda_nvrtc")
    if spec is None:
        pytest.skip("nvidia-cuda-nvrtc-cu12 is not installed: the CUDA sources cannot be compiled")
    (library,) = Path(next(iter(spec.submodule_search_locations)), "lib").glob("libnvrtc.so.*")
    return ctypes.CDLL(str(library))


def compiled(nvrtc: ctypes.CDLL, text: str, instances: list[str], arch: str) -> tuple[int, str, list[str]]:
    """Return NVRTC's result code, its log and the mangled names of the instances."""
    program = ctypes.c_void_p()
    assert nvrtc.nvrtcCreateProgram(ctypes.byref(program), text.encode(), b"test.cu", 0, None, None) == 0
    for instance in instances:
        assert nvrtc.nvrtcAddNameExpression(program, instance.encode()) == 0
    options = [option.encode() for option in (*OPTIONS, f"-arch={arch}")]
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


# Machine code for the newest; for the older ones the portable form, which takes a quarter of the time.
@pytest.mark.parametrize("arch", ["compute_70", "compute_80", "sm_90"])
@pytest.mark.parametrize("file", list(SOURCES))
def test_every_instance_compiles_without_a_warning(nvrtc, file, arch):
    code, log, names = compiled(nvrtc, SOURCES[file], INSTANCES[file], arch)
    assert code == 0, log
    assert log == ""
    assert len(set(names)) == len(INSTANCES[file])


def test_a_warning_would_be_seen(nvrtc):
    code, log, _ = compiled(nvrtc, "__global__ void k(int* a) { int unused; a[0] = 1; }", ["k"], "compute_80")
    assert code == 0
    assert "unused" in log


def test_every_source_file_is_compiled_here():
    import opty.backend

    found = {path.stem for path in Path(opty.backend.__file__).parent.glob("*.cu")}
    assert found == set(SOURCES)
