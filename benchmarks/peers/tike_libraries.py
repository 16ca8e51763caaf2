"""Import this before tike: it makes tike's own imports work where it is installed in one of several ways.

Older CuPy does not look for cuFFT, nor for what that needs, among pip's packages; newer CuPy does, but only when cuFFT
is asked for as an attribute, and tike imports the module. tike takes only a missing mpi4py as none, not one without an
MPI library; nothing here needs it.
"""

import ctypes
import importlib.util
import sys
import warnings
from pathlib import Path

for name, library in (("nvjitlink", "libnvJitLink.so.12"), ("cufft", "libcufft.so.11")):
    found = importlib.util.find_spec("nvidia")
    if found is not None and (path := Path(found.submodule_search_locations[0]) / name / "lib" / library).exists():
        ctypes.CDLL(str(path), ctypes.RTLD_GLOBAL)
sys.modules["mpi4py"] = None  # an import of it fails as if it were not installed
warnings.simplefilter("ignore")

from cupy.cuda import cufft  # noqa: E402, F401
