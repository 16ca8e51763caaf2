// Exit waves of a batch: formed, formed and reflected at kept ones, and the step that kept ones take; one pass each.
//
// obj (height, width); corners (views, 2); illum (views or 1, modes, n, n), illum_stride values from one view to the
// next, 0 where all share one; waves (views, modes, n, n); kept (rows of all views, modes, n, n), at `rows`, no row
// twice. What a window takes from outside the object is NaN.
// Launch with threads (32, 8) and a grid over (columns, 4 x rows, views), of any size.

#include "common.cuh"
#include "exit_waves/reflected.cuh"

// Calls work(j, q, o) with every pixel q of the windows of all views j, and what the object is there.
template <typename Real, typename Work>
__device__ inline void over_windows(const Complex<Real>* obj, long long height, long long width,
                                    const long long* corners, long long views, long long n, Work work)
{
    constexpr int each = 4;  // pixels of a thread, below each other: where a view lies is worked out once for them
    const int side = static_cast<int>(n);
    const int apart = blockDim.y;
    for (long long j = blockIdx.z; j < views; j += gridDim.z) {
        const long long top = corners[2 * j];
        const long long left = corners[2 * j + 1];
        const bool inside = top >= 0 && left >= 0 && top + n <= height && left + n <= width;
        const Complex<Real>* window = obj + top * width + left;
        for (int r = blockIdx.y * each * apart + threadIdx.y; r < side; r += gridDim.y * each * apart) {
            for (int c = blockIdx.x * blockDim.x + threadIdx.x; c < side; c += gridDim.x * blockDim.x) {
#pragma unroll
                for (int u = 0; u < each; ++u) {
                    const int row = r + u * apart;
                    if (row >= side) continue;
                    const Complex<Real> o =
                        inside ? window[row * width + c] : pixel_of(obj, height, width, top + row, left + c);
                    work(j, row * side + c, o);
                }
            }
        }
    }
}

// waves_jm = illum_jm O_j
template <typename Real>
__global__ void __launch_bounds__(256)
exit_waves(const Complex<Real>* __restrict__ obj, long long height, long long width,
           const long long* __restrict__ corners, const Complex<Real>* __restrict__ illum, long long illum_stride,
           long long views, long long modes, long long n, Complex<Real>* __restrict__ waves)
{
    const long long pixels = n * n;
    over_windows(obj, height, width, corners, views, n, [&](long long j, int q, Complex<Real> o) {
        const Complex<Real>* seen = illum + j * illum_stride + q;
        Complex<Real>* wave = waves + j * modes * pixels + q;
        for (int m = 0; m < modes; ++m) wave[m * pixels] = o * seen[m * pixels];
    });
}

// waves_jm = 2 illum_jm O_j - kept_jm
template <typename Real>
__global__ void __launch_bounds__(256)
reflect(const Complex<Real>* __restrict__ obj, long long height, long long width,
        const long long* __restrict__ corners, const Complex<Real>* __restrict__ illum, long long illum_stride,
        const Complex<Real>* __restrict__ kept, const long long* __restrict__ rows, long long views, long long modes,
        long long n, Complex<Real>* __restrict__ waves)
{
    const long long pixels = n * n;
    over_windows(obj, height, width, corners, views, n, [&](long long j, int q, Complex<Real> o) {
        const Complex<Real>* seen = illum + j * illum_stride + q;
        const Complex<Real>* before = kept + rows[j] * modes * pixels + q;
        Complex<Real>* wave = waves + j * modes * pixels + q;
        for (int m = 0; m < modes; ++m) wave[m * pixels] = reflected(o * seen[m * pixels], before[m * pixels]);
    });
}

// kept_jm = share kept_jm + (1 - share) illum_jm O_j + beta waves_jm; with a share of zero nothing kept is read
template <typename Real>
__global__ void __launch_bounds__(256)
advance(const Complex<Real>* __restrict__ obj, long long height, long long width,
        const long long* __restrict__ corners, const Complex<Real>* __restrict__ illum, long long illum_stride,
        const Complex<Real>* __restrict__ waves, const long long* __restrict__ rows, long long views, long long modes,
        long long n, Complex<Real>* kept, Real beta, Real share)
{
    const long long pixels = n * n;
    over_windows(obj, height, width, corners, views, n, [&](long long j, int q, Complex<Real> o) {
        const Complex<Real>* seen = illum + j * illum_stride + q;
        const Complex<Real>* wave = waves + j * modes * pixels + q;
        Complex<Real>* into = kept + rows[j] * modes * pixels + q;
        for (int m = 0; m < modes; ++m) {
            Complex<Real> anew = o * seen[m * pixels];
            if (share != Real(0)) anew = scaled(anew, Real(1) - share) + scaled(into[m * pixels], share);
            into[m * pixels] = anew + scaled(wave[m * pixels], beta);
        }
    });
}

// waves (3, views, modes, n, n) = P O, P dO + dP O, dP dO: the factors of 1, t, t^2 in the exit waves of a step t.
// obj, obj_step (height, width); corners (views, 2); illum, illum_step (views or 1, modes, n, n), their strides the
// values from one view to the next, 0 where all share one. What a window takes from outside the object is NaN.
// Launch with threads (32, 8) and a grid over (columns, rows, views), of any size.
template <typename Real>
__global__ void __launch_bounds__(256)
along(const Complex<Real>* __restrict__ obj, const Complex<Real>* __restrict__ obj_step, long long height,
      long long width, const long long* __restrict__ corners, const Complex<Real>* __restrict__ illum,
      long long illum_stride, const Complex<Real>* __restrict__ illum_step, long long step_stride, long long views,
      long long modes, long long n, Complex<Real>* __restrict__ waves)
{
    const long long apart = views * modes * n * n;
    over_pixels(views, n, [&](long long j, long long r, long long c) {
        const long long top = corners[2 * j];
        const long long left = corners[2 * j + 1];
        const Complex<Real> o = pixel_of(obj, height, width, top + r, left + c);
        const Complex<Real> d = pixel_of(obj_step, height, width, top + r, left + c);
        for (long long m = 0; m < modes; ++m) {
            const long long q = (m * n + r) * n + c;
            const Complex<Real> p = illum[j * illum_stride + q];
            const Complex<Real> e = illum_step[j * step_stride + q];
            Complex<Real>* wave = waves + j * modes * n * n + q;
            wave[0] = p * o;
            wave[apart] = p * d + e * o;
            wave[2 * apart] = e * d;
        }
    });
}
