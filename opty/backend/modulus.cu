// The Fourier modulus constraint and its misfit in one pass over the detector waves.
//
// One thread per detector pixel of a view. It adds up the modes and the background, compares with the measured counts
// in the detector's own number type, scales the waves in place and keeps (sqrt I - sqrt Ihat)^2; a block adds these up
// in double precision and writes one partial sum, without atomics, so that the misfit is the same bits every time.
// Launch with a multiple of 32 threads and a grid over (pixels, views), of any size: both loops stride over the grid.

template <typename Real>
struct alignas(2 * sizeof(Real)) Complex {
    Real re, im;
};

template <typename Real>
__device__ inline Complex<Real> scaled(Complex<Real> a, Real factor)
{
    return {a.re * factor, a.im * factor};
}

// The sum over the threads of a block, in thread 0.
__device__ inline double block_sum(double value)
{
    __shared__ double of_warp[32];
    const unsigned lane = threadIdx.x % 32;
    const unsigned warp = threadIdx.x / 32;
    for (int step = 16; step > 0; step /= 2) value += __shfl_down_sync(0xffffffffu, value, step);
    if (lane == 0) of_warp[warp] = value;
    __syncthreads();
    if (warp != 0) return 0.0;
    value = lane < blockDim.x / 32 ? of_warp[lane] : 0.0;
    for (int step = 16; step > 0; step /= 2) value += __shfl_down_sync(0xffffffffu, value, step);
    return value;
}

// waves (views, modes, pixels); intensity (views, pixels); background (pixels) or null; mask null, or with mask_stride
// values from one view to the next, 0 where all views share one. A masked pixel's intensity is never read.
// floor keeps the division finite where the wave is zero. partial has one value per block.
template <typename Real, typename Count>
__global__ void __launch_bounds__(256)
fourier_modulus(Complex<Real>* waves, const Count* __restrict__ intensity, const bool* __restrict__ mask,
                long long mask_stride, const Real* __restrict__ background, double* __restrict__ partial,
                long long views, long long modes, long long pixels, int difference, Real floor)
{
    const long long stride = static_cast<long long>(gridDim.x) * blockDim.x;
    const Real keep = difference ? Real(0) : Real(1);
    double misfit = 0.0;

    for (long long j = blockIdx.y; j < views; j += gridDim.y) {
        for (long long q = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x; q < pixels; q += stride) {
            Complex<Real>* wave = waves + j * modes * pixels + q;
            Real factor = keep;
            if (mask == nullptr || mask[j * mask_stride + q]) {
                Real power = background == nullptr ? Real(0) : background[q];
                for (long long m = 0; m < modes; ++m) {
                    const Complex<Real> a = wave[m * pixels];
                    power += a.re * a.re + a.im * a.im;
                }
                const Real amplitude = sqrt(power);
                const Real step = sqrt(static_cast<Real>(intensity[j * pixels + q])) - amplitude;
                misfit += static_cast<double>(step) * static_cast<double>(step);
                factor += step / (amplitude > floor ? amplitude : floor);
            } else if (!difference) {
                continue;
            }
            for (long long m = 0; m < modes; ++m) wave[m * pixels] = scaled(wave[m * pixels], factor);
        }
    }

    misfit = block_sum(misfit);
    if (threadIdx.x == 0) partial[static_cast<long long>(blockIdx.y) * gridDim.x + blockIdx.x] = misfit;
}
