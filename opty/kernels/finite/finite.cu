// What became of a state in an iteration: does it hold values that are not finite, or windows outside the object?
// Launch with 256 threads and a grid of any size, both of one dimension.
//
// broken (6): 1 for the object, the probe and the positions that hold a value that is not finite; then the number of the
// first view whose window lies outside the object, counted from 1, and its position. Else it stays as it is.

#include "common.cuh"

// Say whether a thread meets a value that is not finite among `count`. A sum would overflow where no value does.
template <typename Real>
__device__ inline bool meets_broken(const Real* values, long long count)
{
    bool broken = false;
    for (long long q = first_of(blockIdx.x, blockDim.x, threadIdx.x); q < count; q += stride_of(gridDim.x, blockDim.x)) {
        broken |= !isfinite(values[q]);
    }
    return broken;
}

// Look at positions (views, 2), of windows whose corners lie from 0 to (largest_row, largest_column). All threads of
// one block must call it.
__device__ inline void look_at_positions(const double* positions, long long views, long long largest_row,
                                         long long largest_column, double* broken)
{
    double first = 0.0;  // views counted from the last one: the largest is the first of them
    for (long long j = threadIdx.x; j < views; j += blockDim.x) {
        const double row = positions[2 * j];
        const double column = positions[2 * j + 1];
        const double top = rint(row);
        const double left = rint(column);
        const bool finite_row = isfinite(row);
        const bool finite_column = isfinite(column);
        if (!finite_row || !finite_column) broken[2] = 1.0;
        const bool stray = (finite_row && (top < 0 || top > largest_row)) ||
                           (finite_column && (left < 0 || left > largest_column));
        if (stray && first == 0.0) first = static_cast<double>(views - j);
    }
    first = block_max(first);
    if (threadIdx.x != 0 || first == 0.0 || broken[3] != 0.0) return;
    const long long view = views - static_cast<long long>(first);
    broken[3] = static_cast<double>(view + 1);
    broken[4] = positions[2 * view];
    broken[5] = positions[2 * view + 1];
}

// Threads that find a value that is not finite write the same.
template <typename Real>
__global__ void __launch_bounds__(256)
find_broken(const Real* __restrict__ obj, long long obj_count, const Real* __restrict__ probe, long long probe_count,
            const double* __restrict__ positions, long long views, long long largest_row, long long largest_column,
            double* broken)
{
    if (meets_broken(obj, obj_count)) broken[0] = 1.0;
    if (meets_broken(probe, probe_count)) broken[1] = 1.0;
    if (blockIdx.x == 0) look_at_positions(positions, views, largest_row, largest_column, broken);
}

// Launch with one block.
template <typename Real>
__global__ void __launch_bounds__(256)
find_strays(const Real* __restrict__ positions, long long views, long long largest_row, long long largest_column,
            Real* broken)
{
    look_at_positions(positions, views, largest_row, largest_column, broken);
}
