"""cupyx.scipy.fft and cupyx.scipy.ndimage, by SciPy."""

import scipy.fft as _fft
import scipy.ndimage as _ndimage
from cupy._forward import module as _module

fft = _module("cupyx.scipy.fft", _fft)
ndimage = _module("cupyx.scipy.ndimage", _ndimage)
