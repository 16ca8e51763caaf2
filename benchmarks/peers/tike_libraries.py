"""Import this before tike: it loads cuFFT and what that needs from pip's packages, where CuPy does not look."""

import ctypes
import importlib.util
import warnings
from pathlib import Path

for name, library in (("nvjitlink", "libnvJitLink.so.12"), ("cufft", "libcufft.so.11")):
    found = importlib.util.find_spec("nvidia")
    if found is not None and (path := Path(found.submodule_search_locations[0]) / name / "lib" / library).exists():
        ctypes.CDLL(str(path), ctypes.RTLD_GLOBAL)
warnings.simplefilter("ignore")
