// Probes moved by fractions of a pixel, by phases in the Fourier plane, and what the views say of them moved back.
//
// spectrum, total (modes, n, n); waves (rows of all views, modes, n, n), at `rows`; obj (height, width); corners
// (views, 2); fraction (views, 2); illum (views or 1, modes, n, n), illum_stride values from one view to the next, 0
// where all share one; all else (views, modes, n, n). Frequencies are in FFT order. `scale` makes unitary what
// transforms leave as sums. Launch with threads (32, 8); the grid is told with each kernel and may be of any size.

#include "common.cuh"

// Turns of the phase by which a view is moved back, at one frequency.
__device__ inline double turns_at(const double* fraction, long long j, long long r, long long c, long long n)
{
    const long long up = r < (n + 1) / 2 ? r : r - n;
    const long long across = c < (n + 1) / 2 ? c : c - n;
    return (fraction[2 * j] * static_cast<double>(up) + fraction[2 * j + 1] * static_cast<double>(across)) / n;
}

// out_jm = scale spectrum_m exp(-2 pi i f_j . q). The grid is over (columns, rows, views).
template <typename Real>
__global__ void __launch_bounds__(256)
shift(const Complex<Real>* __restrict__ spectrum, const double* __restrict__ fraction, long long views,
      long long modes, long long n, Real scale, Complex<Real>* __restrict__ out)
{
    over_pixels(views, n, [&](long long j, long long r, long long c) {
        const Complex<Real> back = phase_of(static_cast<Real>(turns_at(fraction, j, r, c, n)));
        const Complex<Real> phase = scaled(conj(back), scale);
        for (long long m = 0; m < modes; ++m) {
            const long long q = (m * n + r) * n + c;
            out[j * modes * n * n + q] = spectrum[q] * phase;
        }
    });
}

// out_jm = conj(O_j) waves_jm, or with illum conj(O_j) (waves_jm - illum_jm O_j). The grid is over (columns, rows,
// views).
template <typename Real>
__global__ void __launch_bounds__(256)
through_object(const Complex<Real>* __restrict__ waves, const long long* __restrict__ rows,
               const Complex<Real>* __restrict__ obj, long long height, long long width,
               const long long* __restrict__ corners, const Complex<Real>* __restrict__ illum, long long illum_stride,
               long long views, long long modes, long long n, Complex<Real>* __restrict__ out)
{
    over_pixels(views, n, [&](long long j, long long r, long long c) {
        const long long top = corners[2 * j];
        const long long left = corners[2 * j + 1];
        const Complex<Real> o = pixel_of(obj, height, width, top + r, left + c);
        for (long long m = 0; m < modes; ++m) {
            const long long q = (m * n + r) * n + c;
            Complex<Real> wave = waves[rows[j] * modes * n * n + q];
            if (illum != nullptr) wave = wave - illum[j * illum_stride + q] * o;
            out[j * modes * n * n + q] = conj(o) * wave;
        }
    });
}

// total_m = scale sum_j spectra_jm exp(2 pi i f_j . q), the views in ascending order; with `adds` that is added to what
// is there. The grid is over (columns, rows, modes).
template <typename Real>
__global__ void __launch_bounds__(256)
sum_shifted_back(const Complex<Real>* __restrict__ spectra, const double* __restrict__ fraction, long long views,
                 long long modes, long long n, Real scale, int adds, Complex<Real>* __restrict__ total)
{
    for (long long m = blockIdx.z; m < modes; m += gridDim.z) {
        for (long long r = first_of(blockIdx.y, blockDim.y, threadIdx.y); r < n; r += stride_of(gridDim.y, blockDim.y)) {
            for (long long c = first_of(blockIdx.x, blockDim.x, threadIdx.x); c < n;
                 c += stride_of(gridDim.x, blockDim.x)) {
                Complex<Real> sum = {0, 0};
                for (long long j = 0; j < views; ++j) {
                    const Complex<Real> back = phase_of(static_cast<Real>(turns_at(fraction, j, r, c, n)));
                    sum = sum + spectra[((j * modes + m) * n + r) * n + c] * back;
                }
                Complex<Real>& there = total[(m * n + r) * n + c];
                there = adds ? there + scaled(sum, scale) : scaled(sum, scale);
            }
        }
    }
}

// probe_weight (n, n) += |O_j|^2, the views in ascending order. The grid is over (columns, rows).
template <typename Real>
__global__ void __launch_bounds__(256)
add_seen(const Complex<Real>* __restrict__ obj, long long height, long long width,
         const long long* __restrict__ corners, long long views, long long n, Real* probe_weight)
{
    for (long long r = first_of(blockIdx.y, blockDim.y, threadIdx.y); r < n; r += stride_of(gridDim.y, blockDim.y)) {
        for (long long c = first_of(blockIdx.x, blockDim.x, threadIdx.x); c < n; c += stride_of(gridDim.x, blockDim.x)) {
            Real weight = probe_weight[r * n + c];
            for (long long j = 0; j < views; ++j)
                weight += power(pixel_of(obj, height, width, corners[2 * j] + r, corners[2 * j + 1] + c));
            probe_weight[r * n + c] = weight;
        }
    }
}
