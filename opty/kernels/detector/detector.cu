// What is done to detector waves between two transforms of a library, in one pass over the waves: the Fourier modulus
// constraint, the slope of a likelihood, and the changes of L along a step. fft/columns.cu does the same between opty's
// own transforms.
//
// One thread per detector pixel of a view. It adds up the modes and the background, compares with the measured counts
// in the detector's own number type and scales the waves in place; factors.cuh says by what. A block adds up in double
// precision and writes one partial sum, without atomics, so that the sums are the same bits every time.
// Launch with a multiple of 32 threads and a grid over (pixels, views), of any size.

#include "common.cuh"
#include "detector/factors.cuh"

// waves (views, modes, pixels); intensity (rows of all views, pixels), at `rows`, or view j at j where that is null;
// background (pixels) or null; mask null, or with mask_stride values from one row to the next, 0 where all views share
// one. A masked pixel's intensity is never read. partial has a value per block, to which the block adds the misfit: it
// owns it, and launches on a stream come one after the other. values (views, gridDim.x) = the block's part of what the
// step adds up for each view.
template <typename Real, typename Count, typename Step>
__device__ inline void multiply(Complex<Real>* waves, const Count* intensity,
                                const long long* rows, const bool* mask,
                                long long mask_stride, const Real* background,
                                double* partial, double* values, long long views,
                                long long modes, long long pixels, const Step step)
{
    const Pixels<Real> seen = {mask, mask_stride, background};
    double misfit = 0.0;

    for (long long j = blockIdx.y; j < views; j += gridDim.y) {
        const long long row = rows == nullptr ? j : rows[j];
        double value = 0.0;
        for (long long q = first_of(blockIdx.x, blockDim.x, threadIdx.x); q < pixels;
             q += stride_of(gridDim.x, blockDim.x)) {
            Complex<Real>* wave = waves + j * modes * pixels + q;
            const Complex<Real> first = wave[0];  // most often the only one: it is read once
            Real factor = step.masked();
            if (seen.count(row, q)) {
                Real total = power(first);
                for (long long m = 1; m < modes; ++m) total += power(wave[m * pixels]);
                const Real measured = static_cast<Real>(intensity[row * pixels + q]);
                factor = step.factor(total, seen.light(q), measured, misfit, value);
            }
            factor = step.unitary(factor);
            wave[0] = scaled(first, factor);
            for (long long m = 1; m < modes; ++m) wave[m * pixels] = scaled(wave[m * pixels], factor);
        }
        if constexpr (Step::has_values) {
            value = block_sum(value);
            if (threadIdx.x == 0) values[j * gridDim.x + blockIdx.x] = value;
            __syncthreads();  // the next sum may use block_sum's memory from here on
        }
    }

    misfit = block_sum(misfit);
    if (threadIdx.x == 0) partial[static_cast<long long>(blockIdx.y) * gridDim.x + blockIdx.x] += misfit;
}

// waves *= sqrt(I / Ihat), or that minus 1 if `difference`. floor keeps the division finite where the wave is zero;
// power_scale brings |wave|^2 to photons, and wave_scale goes into all that is written, masked or not.
template <typename Real, typename Count>
__global__ void __launch_bounds__(256)
fourier_modulus(Complex<Real>* waves, const Count* __restrict__ intensity, const long long* __restrict__ rows,
                const bool* __restrict__ mask, long long mask_stride, const Real* __restrict__ background,
                double* __restrict__ partial, long long views, long long modes, long long pixels, int difference,
                Real floor, Real power_scale, Real wave_scale)
{
    const Modulus<Real> step = {difference ? Real(0) : Real(1), floor, power_scale, wave_scale};
    multiply(waves, intensity, rows, mask, mask_stride, background, partial, nullptr, views, modes, pixels, step);
}

// waves *= w dL/dIhat, and values = parts of sum w L. scale brings |wave|^2 to photons, and goes into all that is
// written.
template <typename Real, typename Count>
__global__ void __launch_bounds__(256)
put_slope(Complex<Real>* waves, const Count* __restrict__ intensity, const long long* __restrict__ rows,
          const bool* __restrict__ mask, long long mask_stride, const Real* __restrict__ background,
          double* __restrict__ partial, double* __restrict__ values, long long views, long long modes,
          long long pixels, int noise, Real floor, Real scale)
{
    const Slope<Real> step = {noise, floor, scale};
    multiply(waves, intensity, rows, mask, mask_stride, background, partial, values, views, modes, pixels, step);
}

// changes (views, 3, gridDim.x): the block's part of sum w [L(t) - L(0)] at each of the trials t (3,). waves (3, views,
// modes, pixels): the detector waves of what `along` in exit_waves/exit_waves.cu made. epsilon is the distance from 1 to the next number.
// Launch with a multiple of 32 threads and a grid over (pixels, views), of any size.
template <typename Real, typename Count>
__global__ void __launch_bounds__(256)
add_up_changes(const Complex<Real>* __restrict__ waves, const Count* __restrict__ intensity,
               const long long* __restrict__ rows, const bool* __restrict__ mask, long long mask_stride,
               const Real* __restrict__ background, const Real* __restrict__ trials, double* __restrict__ changes,
               long long views, long long modes, long long pixels, int noise, Real floor, Real scale, Real epsilon)
{
    const long long apart = views * modes * pixels;
    const Real t[3] = {trials[0], trials[1], trials[2]};
    const Changes<Real> step = {noise, floor, scale, epsilon};
    const Pixels<Real> seen = {mask, mask_stride, background};

    for (long long j = blockIdx.y; j < views; j += gridDim.y) {
        const long long row = rows[j];
        double sums[3] = {0.0, 0.0, 0.0};
        for (long long q = first_of(blockIdx.x, blockDim.x, threadIdx.x); q < pixels;
             q += stride_of(gridDim.x, blockDim.x)) {
            if (!seen.count(row, q)) continue;
            Powers<Real> powers = {};
            for (long long m = 0; m < modes; ++m) {
                const Complex<Real>* wave = waves + (j * modes + m) * pixels + q;
                powers.add(wave[0], wave[apart], wave[2 * apart]);
            }
            const Real measured = static_cast<Real>(intensity[row * pixels + q]);
            step.add(powers, t, seen.light(q), measured, sums);
        }
        for (int k = 0; k < 3; ++k) {
            const double sum = block_sum(sums[k]);
            if (threadIdx.x == 0) changes[(3 * j + k) * gridDim.x + blockIdx.x] = sum;
            __syncthreads();  // the next sum may use block_sum's memory from here on
        }
    }
}
