// Exit waves of a batch: formed, formed and reflected at kept ones, and the step that kept ones take; one pass each.
//
// obj (height, width); corners (views, 2); illum (views or 1, modes, n, n), illum_stride values from one view to the
// next, 0 where all share one; waves (views, modes, n, n); kept (rows of all views, modes, n, n), at `rows`, no row
// twice. What a window takes from outside the object is NaN.
// Launch with threads (32, 8) and a grid over (columns, rows, views), of any size.

// waves_jm = illum_jm O_j
template <typename Real>
__global__ void __launch_bounds__(256)
exit_waves(const Complex<Real>* __restrict__ obj, long long height, long long width,
           const long long* __restrict__ corners, const Complex<Real>* __restrict__ illum, long long illum_stride,
           long long views, long long modes, long long n, Complex<Real>* __restrict__ waves)
{
    for (long long j = blockIdx.z; j < views; j += gridDim.z) {
        const long long top = corners[2 * j];
        const long long left = corners[2 * j + 1];
        for (long long r = first_of(blockIdx.y, blockDim.y, threadIdx.y); r < n; r += stride_of(gridDim.y, blockDim.y)) {
            for (long long c = first_of(blockIdx.x, blockDim.x, threadIdx.x); c < n;
                 c += stride_of(gridDim.x, blockDim.x)) {
                const Complex<Real> o = pixel_of(obj, height, width, top + r, left + c);
                for (long long m = 0; m < modes; ++m) {
                    const long long q = (m * n + r) * n + c;
                    waves[j * modes * n * n + q] = o * illum[j * illum_stride + q];
                }
            }
        }
    }
}

// waves_jm = 2 illum_jm O_j - kept_jm
template <typename Real>
__global__ void __launch_bounds__(256)
reflect(const Complex<Real>* __restrict__ obj, long long height, long long width,
        const long long* __restrict__ corners, const Complex<Real>* __restrict__ illum, long long illum_stride,
        const Complex<Real>* __restrict__ kept, const long long* __restrict__ rows, long long views, long long modes,
        long long n, Complex<Real>* __restrict__ waves)
{
    for (long long j = blockIdx.z; j < views; j += gridDim.z) {
        const long long top = corners[2 * j];
        const long long left = corners[2 * j + 1];
        const long long row = rows[j];
        for (long long r = first_of(blockIdx.y, blockDim.y, threadIdx.y); r < n; r += stride_of(gridDim.y, blockDim.y)) {
            for (long long c = first_of(blockIdx.x, blockDim.x, threadIdx.x); c < n;
                 c += stride_of(gridDim.x, blockDim.x)) {
                const Complex<Real> o = pixel_of(obj, height, width, top + r, left + c);
                for (long long m = 0; m < modes; ++m) {
                    const long long q = (m * n + r) * n + c;
                    const Complex<Real> overlap = o * illum[j * illum_stride + q];
                    waves[j * modes * n * n + q] = overlap + (overlap - kept[row * modes * n * n + q]);
                }
            }
        }
    }
}

// kept_jm = share kept_jm + (1 - share) illum_jm O_j + beta waves_jm; with a share of zero nothing kept is read
template <typename Real>
__global__ void __launch_bounds__(256)
advance(const Complex<Real>* __restrict__ obj, long long height, long long width,
        const long long* __restrict__ corners, const Complex<Real>* __restrict__ illum, long long illum_stride,
        const Complex<Real>* __restrict__ waves, const long long* __restrict__ rows, long long views, long long modes,
        long long n, Complex<Real>* kept, Real beta, Real share)
{
    for (long long j = blockIdx.z; j < views; j += gridDim.z) {
        const long long top = corners[2 * j];
        const long long left = corners[2 * j + 1];
        const long long row = rows[j];
        for (long long r = first_of(blockIdx.y, blockDim.y, threadIdx.y); r < n; r += stride_of(gridDim.y, blockDim.y)) {
            for (long long c = first_of(blockIdx.x, blockDim.x, threadIdx.x); c < n;
                 c += stride_of(gridDim.x, blockDim.x)) {
                const Complex<Real> o = pixel_of(obj, height, width, top + r, left + c);
                for (long long m = 0; m < modes; ++m) {
                    const long long q = (m * n + r) * n + c;
                    Complex<Real> anew = o * illum[j * illum_stride + q];
                    Complex<Real>& psi = kept[row * modes * n * n + q];
                    if (share != Real(0)) anew = scaled(anew, Real(1) - share) + scaled(psi, share);
                    psi = anew + scaled(waves[j * modes * n * n + q], beta);
                }
            }
        }
    }
}
