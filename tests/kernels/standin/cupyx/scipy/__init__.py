"""cupyx.scipy.fft and cupyx.scipy.ndimage, by SciPy."""

import scipy.fft as _fft
import scipy.ndimage as _ndimage
from cupy._forward import module as _module
from cupy.cuda.cufft import PlanNd as _PlanNd


def _get_fft_plan(a, shape=None, axes=None, value_type="C2C"):
    if shape is not None or value_type != "C2C" or axes != tuple(range(a.ndim - len(axes), a.ndim)):
        raise NotImplementedError("the stand-in plans complex transforms over all of the last axes")
    return _PlanNd(a.shape, a.dtype, len(axes))


fft = _module("cupyx.scipy.fft", _fft)
fft.get_fft_plan = _get_fft_plan
ndimage = _module("cupyx.scipy.ndimage", _ndimage)
