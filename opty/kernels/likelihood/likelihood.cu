// The slope of a likelihood on detector waves, what a step makes of exit waves, and by how much L changes along it.
//
// Detector waves, intensity, rows, mask, background, floor: as for fourier_modulus in detector/modulus.cu, and as there a masked
// pixel's intensity is never read. L = -log likelihood by `noise`, with the formulae and the care for digits of
// noise.cuh; for Poisson too_dark says where its curve goes on as a straight line, below I / too_dark.
// Sums are in double precision, and without atomics: the same bits every time. Each block leaves its part of a view's
// sum, gridDim.x parts side by side, and `sum_parts` adds these up.

#include "common.cuh"
#include "likelihood/noise.cuh"

// waves (views, modes, pixels) *= w dL/dIhat; partial[block] += sum w (sqrt I - sqrt Ihat)^2 of the block, values
// (views, gridDim.x) = its part of sum w L. Transforms that are not unitary are made so: scale brings |wave|^2 to
// photons, and goes into all that is written.
// Launch with a multiple of 32 threads and a grid over (pixels, views), of any size.
template <typename Real, typename Count>
__global__ void __launch_bounds__(256)
put_slope(Complex<Real>* waves, const Count* __restrict__ intensity, const long long* __restrict__ rows,
          const bool* __restrict__ mask, long long mask_stride, const Real* __restrict__ background,
          double* __restrict__ partial, double* __restrict__ values, long long views, long long modes,
          long long pixels, int noise, Real floor, Real scale, Real too_dark)
{
    double misfit = 0.0;

    for (long long j = blockIdx.y; j < views; j += gridDim.y) {
        const long long row = rows[j];
        double value = 0.0;
        for (long long q = first_of(blockIdx.x, blockDim.x, threadIdx.x); q < pixels;
             q += stride_of(gridDim.x, blockDim.x)) {
            Complex<Real>* wave = waves + j * modes * pixels + q;
            const Complex<Real> first = wave[0];  // most often the only one: it is read once
            Real factor = 0;
            if (mask == nullptr || mask[row * mask_stride + q]) {
                Real predicted = power(first);
                for (long long m = 1; m < modes; ++m) predicted += power(wave[m * pixels]);
                predicted *= scale;
                if (background != nullptr) predicted += background[q];
                predicted = larger(predicted, floor);
                const Real measured = static_cast<Real>(intensity[row * pixels + q]);
                const Real step = sqrt(measured) - sqrt(predicted);
                const Fit<Real> fit = fit_of(predicted, measured, step, noise, too_dark);
                misfit += static_cast<double>(step) * static_cast<double>(step);
                value += fit.value;
                factor = fit.slope * scale;
            }
            wave[0] = scaled(first, factor);
            for (long long m = 1; m < modes; ++m) wave[m * pixels] = scaled(wave[m * pixels], factor);
        }
        value = block_sum(value);
        if (threadIdx.x == 0) values[j * gridDim.x + blockIdx.x] = value;
        __syncthreads();  // the next sum may use block_sum's memory from here on
    }

    misfit = block_sum(misfit);
    if (threadIdx.x == 0) partial[static_cast<long long>(blockIdx.y) * gridDim.x + blockIdx.x] += misfit;
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
    for (long long j = blockIdx.z; j < views; j += gridDim.z) {
        const long long top = corners[2 * j];
        const long long left = corners[2 * j + 1];
        for (long long r = first_of(blockIdx.y, blockDim.y, threadIdx.y); r < n; r += stride_of(gridDim.y, blockDim.y)) {
            for (long long c = first_of(blockIdx.x, blockDim.x, threadIdx.x); c < n;
                 c += stride_of(gridDim.x, blockDim.x)) {
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
            }
        }
    }
}

// changes (views, 3, gridDim.x): the block's part of sum w [L(t) - L(0)] at each of the trials t (3,). waves (3, views,
// modes, pixels): the detector waves of what `along` made. epsilon is the distance from 1 to the next number.
// Launch with a multiple of 32 threads and a grid over (pixels, views), of any size.
template <typename Real, typename Count>
__global__ void __launch_bounds__(256)
add_up_changes(const Complex<Real>* __restrict__ waves, const Count* __restrict__ intensity,
               const long long* __restrict__ rows, const bool* __restrict__ mask, long long mask_stride,
               const Real* __restrict__ background, const Real* __restrict__ trials, double* __restrict__ changes,
               long long views, long long modes, long long pixels, int noise, Real floor, Real scale, Real too_dark,
               Real epsilon)
{
    const long long apart = views * modes * pixels;
    const Real t[3] = {trials[0], trials[1], trials[2]};

    for (long long j = blockIdx.y; j < views; j += gridDim.y) {
        const long long row = rows[j];
        double sums[3] = {0.0, 0.0, 0.0};
        for (long long q = first_of(blockIdx.x, blockDim.x, threadIdx.x); q < pixels;
             q += stride_of(gridDim.x, blockDim.x)) {
            if (mask != nullptr && !mask[row * mask_stride + q]) continue;
            Powers<Real> powers = {};
            for (long long m = 0; m < modes; ++m) {
                const Complex<Real>* wave = waves + (j * modes + m) * pixels + q;
                powers.add(wave[0], wave[apart], wave[2 * apart]);
            }
            Real predicted = powers.of_0 * scale;
            if (background != nullptr) predicted += background[q];
            predicted = larger(predicted, floor);
            const Real measured = static_cast<Real>(intensity[row * pixels + q]);
            const Real least = predicted * (epsilon - 1);  // rounding can make no intensity negative
            for (int k = 0; k < 3; ++k) {
                const Real more = larger(scale * powers.beyond(t[k]), least);
                sums[k] += change_of(predicted, measured, more, noise, floor, too_dark);
            }
        }
        for (int k = 0; k < 3; ++k) {
            const double sum = block_sum(sums[k]);
            if (threadIdx.x == 0) changes[(3 * j + k) * gridDim.x + blockIdx.x] = sum;
            __syncthreads();  // the next sum may use block_sum's memory from here on
        }
    }
}
