"""Public names that NumPy or SciPy share with CuPy 13.6 as well as with CuPy 14.2, and no others.

What is not listed here raises AttributeError in the stand-in, as it would on a GPU. Taken from dir() of the packages.
"""

_LISTS = {
    "cupy": """
        abs absolute add all allclose amax amin angle any append apply_along_axis arange arccos arccosh arcsin
        arcsinh arctan arctan2 arctanh argmax argmin argpartition argsort argwhere around array2string
        array_equal array_equiv array_repr array_split array_str asanyarray asarray_chkfinite
        ascontiguousarray asfortranarray atleast_1d atleast_2d atleast_3d average bartlett base_repr
        binary_repr bincount bitwise_and bitwise_not bitwise_or bitwise_xor blackman bool_ broadcast
        broadcast_arrays broadcast_shapes broadcast_to byte c_ can_cast cbrt cdouble ceil choose clip
        column_stack common_type complex128 complex64 complexfloating compress concatenate conj conjugate
        convolve copy copysign copyto corrcoef correlate cos cosh count_nonzero cov cross csingle cumprod
        cumsum deg2rad degrees delete diag diag_indices diag_indices_from diagflat diagonal diff digitize
        divide divmod dot double dsplit dstack dtype e ediff1d einsum empty empty_like equal euler_gamma exp
        exp2 expand_dims expm1 extract eye fabs fill_diagonal finfo fix flatiter flatnonzero flip fliplr
        flipud float16 float32 float64 float_power floating floor floor_divide fmax fmin fmod
        format_float_positional format_float_scientific frexp from_dlpack frombuffer fromfunction fromiter
        fromstring full full_like gcd generic genfromtxt get_printoptions gradient greater greater_equal half
        hamming hanning heaviside histogram histogram2d histogramdd hsplit hstack hypot i0 identity iinfo imag
        index_exp indices inexact inf inner int16 int32 int64 int8 int_ intc integer interp intersect1d intp
        invert isclose iscomplex iscomplexobj isfinite isfortran isin isinf isnan isneginf isposinf isreal
        isrealobj isscalar issubdtype iterable ix_ kaiser kron lcm ldexp left_shift less less_equal lexsort
        linspace loadtxt log log10 log1p log2 logaddexp logaddexp2 logical_and logical_not logical_or
        logical_xor logspace longlong mask_indices matmul max maximum may_share_memory mean median meshgrid
        mgrid min min_scalar_type minimum mintypecode mod modf moveaxis multiply nan nan_to_num nanargmax
        nanargmin nancumprod nancumsum nanmax nanmean nanmedian nanmin nanprod nanstd nansum nanvar ndim
        ndindex negative newaxis nextafter nonzero not_equal number ogrid ones ones_like outer packbits pad
        partition percentile pi piecewise place poly poly1d polyadd polyfit polymul polysub polyval positive
        power printoptions prod promote_types ptp put putmask quantile r_ rad2deg radians ravel
        ravel_multi_index real real_if_close reciprocal remainder repeat require reshape resize result_type
        right_shift rint roll rollaxis roots rot90 round row_stack s_ savetxt searchsorted select
        set_printoptions setdiff1d setxor1d shape shares_memory short sign signbit signedinteger sin sinc
        single sinh size sort sort_complex split sqrt square squeeze stack std subtract sum swapaxes take
        take_along_axis tan tanh tensordot tile trace transpose tri tril tril_indices tril_indices_from
        trim_zeros triu triu_indices triu_indices_from true_divide trunc typename ubyte ufunc uint uint16
        uint32 uint64 uint8 uintc uintp ulonglong union1d unique unpackbits unravel_index unsignedinteger
        unwrap ushort vander var vdot vectorize vsplit vstack where zeros zeros_like
    """,
    "cupy.fft": """
        fft fft2 fftfreq fftn fftshift hfft ifft ifft2 ifftn ifftshift ihfft irfft irfft2 irfftn rfft rfft2
        rfftfreq rfftn
    """,
    "cupy.linalg": """
        LinAlgError cholesky det eigh eigvalsh inv lstsq matrix_power matrix_rank norm pinv qr slogdet solve
        svd tensorinv tensorsolve
    """,
    "cupy.random": """
        BitGenerator RandomState beta binomial bytes chisquare choice default_rng dirichlet exponential f
        gamma geometric gumbel hypergeometric laplace logistic lognormal logseries multinomial
        multivariate_normal negative_binomial noncentral_chisquare noncentral_f normal pareto permutation
        poisson power rand randint randn random random_integers random_sample ranf rayleigh sample seed
        shuffle standard_cauchy standard_exponential standard_gamma standard_normal standard_t triangular
        uniform vonmises wald weibull zipf
    """,
    "cupyx.scipy.fft": """
        dct dctn dst dstn fft fft2 fftfreq fftn fftshift fht hfft hfft2 hfftn idct idctn idst idstn ifft ifft2
        ifftn ifftshift ifht ihfft ihfft2 ihfftn irfft irfft2 irfftn next_fast_len rfft rfft2 rfftfreq rfftn
    """,
    "cupyx.scipy.ndimage": """
        affine_transform binary_closing binary_dilation binary_erosion binary_fill_holes binary_hit_or_miss
        binary_opening binary_propagation black_tophat center_of_mass convolve convolve1d correlate
        correlate1d distance_transform_edt extrema fourier_ellipsoid fourier_gaussian fourier_shift
        fourier_uniform gaussian_filter gaussian_filter1d gaussian_gradient_magnitude gaussian_laplace
        generate_binary_structure generic_filter generic_filter1d generic_gradient_magnitude generic_laplace
        grey_closing grey_dilation grey_erosion grey_opening histogram iterate_structure label
        labeled_comprehension laplace map_coordinates maximum maximum_filter maximum_filter1d maximum_position
        mean median median_filter minimum minimum_filter minimum_filter1d minimum_position
        morphological_gradient morphological_laplace percentile_filter prewitt rank_filter rotate shift sobel
        spline_filter spline_filter1d standard_deviation sum sum_labels uniform_filter uniform_filter1d
        value_indices variance white_tophat zoom
    """,
    "ndarray": """
        T all any argmax argmin argpartition argsort astype base choose clip compress conj conjugate copy
        cumprod cumsum data device diagonal dot dtype dump dumps fill flags flat flatten imag item itemsize
        max mean min nbytes ndim nonzero partition prod put ravel real repeat reshape round searchsorted shape
        size sort squeeze std strides sum swapaxes take tobytes tofile tolist trace transpose var view
    """,
}
NAMES = {module: frozenset(names.split()) for module, names in _LISTS.items()}
