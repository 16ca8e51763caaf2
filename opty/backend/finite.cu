// What became of a state in an iteration: does it hold values that are not finite?
// Launch with 256 threads and a grid of any size, both of one dimension.

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

// broken (3): 1 for the object, the probe and the positions that hold a value that is not finite; else it stays as it is.
// Threads that find one write the same.
template <typename Real>
__global__ void __launch_bounds__(256)
find_broken(const Real* __restrict__ obj, long long obj_count, const Real* __restrict__ probe, long long probe_count,
            const double* __restrict__ positions, long long positions_count, double* broken)
{
    if (meets_broken(obj, obj_count)) broken[0] = 1.0;
    if (meets_broken(probe, probe_count)) broken[1] = 1.0;
    if (meets_broken(positions, positions_count)) broken[2] = 1.0;
}
