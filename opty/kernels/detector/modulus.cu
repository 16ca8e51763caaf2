// The Fourier modulus constraint and its misfit in one pass over the detector waves.
//
// One thread per detector pixel of a view. It adds up the modes and the background, compares with the measured counts
// in the detector's own number type, scales the waves in place and keeps (sqrt I - sqrt Ihat)^2; a block adds these up
// in double precision and writes one partial sum, without atomics, so that the misfit is the same bits every time.
// Launch with a multiple of 32 threads and a grid over (pixels, views), of any size.

#include "common.cuh"

// waves (views, modes, pixels); intensity (rows of all views, pixels), at `rows`, or view j at j where that is null;
// background (pixels) or null; mask null, or with mask_stride values from one row to the next, 0 where all views share
// one. A masked pixel's intensity is never read. floor keeps the division finite where the wave is zero. partial has a
// value per block, to which the block adds: it owns it, and launches on a stream come one after the other.
// Transforms that are not unitary are made so on the way: power_scale brings |wave|^2 to photons, and wave_scale goes
// into all that is written, masked or not.
template <typename Real, typename Count>
__global__ void __launch_bounds__(256)
fourier_modulus(Complex<Real>* waves, const Count* __restrict__ intensity, const long long* __restrict__ rows,
                const bool* __restrict__ mask, long long mask_stride, const Real* __restrict__ background,
                double* __restrict__ partial, long long views, long long modes, long long pixels, int difference,
                Real floor, Real power_scale, Real wave_scale)
{
    const Real keep = difference ? Real(0) : Real(1);
    double misfit = 0.0;

    for (long long j = blockIdx.y; j < views; j += gridDim.y) {
        const long long row = rows == nullptr ? j : rows[j];
        for (long long q = first_of(blockIdx.x, blockDim.x, threadIdx.x); q < pixels;
             q += stride_of(gridDim.x, blockDim.x)) {
            Complex<Real>* wave = waves + j * modes * pixels + q;
            const Complex<Real> first = wave[0];  // most often the only one: it is read once
            Real factor = keep;
            if (mask == nullptr || mask[row * mask_stride + q]) {
                Real total = power(first);
                for (long long m = 1; m < modes; ++m) total += power(wave[m * pixels]);
                total *= power_scale;
                if (background != nullptr) total += background[q];
                const Real amplitude = sqrt(total);
                const Real step = sqrt(static_cast<Real>(intensity[row * pixels + q])) - amplitude;
                misfit += static_cast<double>(step) * static_cast<double>(step);
                factor += step / (amplitude > floor ? amplitude : floor);
            }
            factor *= wave_scale;
            wave[0] = scaled(first, factor);
            for (long long m = 1; m < modes; ++m) wave[m * pixels] = scaled(wave[m * pixels], factor);
        }
    }

    misfit = block_sum(misfit);
    if (threadIdx.x == 0) partial[static_cast<long long>(blockIdx.y) * gridDim.x + blockIdx.x] += misfit;
}
