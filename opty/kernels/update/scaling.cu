// The scale between object and probe, brought back by a power of two; scaling.py has the rule.
//
// Nothing is asked for on the host: one launch adds up the probe's power in parts, always in the same order, and the next
// one works out the power of two in each block, and leaves at once where it is one.
// Launch with 256 threads and a grid of any size, both of one dimension.

#include "common.cuh"

// partial: per block, the sum of the squares of values (count).
template <typename Real>
__global__ void __launch_bounds__(256)
add_up_power(const Real* __restrict__ values, long long count, double* __restrict__ partial)
{
    double sum = 0.0;
    for (long long q = first_of(blockIdx.x, blockDim.x, threadIdx.x); q < count; q += stride_of(gridDim.x, blockDim.x)) {
        const double value = values[q];
        sum += value * value;
    }
    sum = block_sum(sum);
    if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

// values (count) times 2^octaves
template <typename Real>
__device__ inline void scale_all(Real* values, long long count, int octaves)
{
    const Real factor = static_cast<Real>(ldexp(1.0, octaves));
    for (long long q = first_of(blockIdx.x, blockDim.x, threadIdx.x); q < count; q += stride_of(gridDim.x, blockDim.x)) {
        values[q] *= factor;
    }
}

// Each of four arrays times 2^(octaves exponent); octaves as scaling.py says, of the power in ``partial``, of as many
// parts as a block has threads or fewer. An array of no values is null.
template <typename Real>
__global__ void __launch_bounds__(256)
take_scale(const double* __restrict__ partial, long long partials, double photons, double weak, double strong, int most,
           Real* first, long long first_count, int first_exponent, Real* second, long long second_count,
           int second_exponent, Real* third, long long third_count, int third_exponent, Real* fourth,
           long long fourth_count, int fourth_exponent)
{
    __shared__ int octaves;
    const double power = block_sum(threadIdx.x < partials ? partial[threadIdx.x] : 0.0);
    if (threadIdx.x == 0) {
        octaves = 0;
        if (power > 0 && isfinite(power) && photons > 0) {
            const double off = 0.5 * (log2(photons) - log2(power));
            const double nearest = rint(off);
            if (off >= weak || off <= strong)
                octaves = static_cast<int>(nearest > most ? most : nearest < -most ? -most : nearest);
        }
    }
    __syncthreads();
    if (octaves == 0) return;
    scale_all(first, first_count, octaves * first_exponent);
    scale_all(second, second_count, octaves * second_exponent);
    scale_all(third, third_count, octaves * third_exponent);
    scale_all(fourth, fourth_count, octaves * fourth_exponent);
}
