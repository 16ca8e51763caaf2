// Windows of the object: cut out, added back with atomics, or added back in the order of the views.
//
// A pixel is Parts reals: 1 for a real array, 2 for a complex one. `corners` holds the (row, column) of the first
// pixel of each window. A kernel cannot raise: what a window takes from outside the object is NaN, so that the state
// stops being finite and the caller notices; what it would add outside is dropped.
// Launch with threads (32, 8) and a grid over (columns, rows, views), of any size.

#include "common.cuh"
#include "accumulate/touching.cuh"

template <typename Real, int Parts>
struct alignas(sizeof(Real) * Parts) Pixel {
    Real part[Parts];
};

// corners (views, 2), fraction (views, 2) or null: the whole pixel nearest to each of positions (views, 2), and what is
// left. A corner is cut to the range from 0 to (largest_row, largest_column); where a position is no number it is 0, and
// so is its fraction. Launch with 256 threads and a grid of any size, both of one dimension.
template <typename Real>
__global__ void __launch_bounds__(256)
place(const Real* __restrict__ positions, long long views, long long largest_row, long long largest_column,
      long long* __restrict__ corners, Real* __restrict__ fraction)
{
    for (long long j = first_of(blockIdx.x, blockDim.x, threadIdx.x); j < views; j += stride_of(gridDim.x, blockDim.x)) {
        for (int axis = 0; axis < 2; ++axis) {
            const long long largest = axis == 0 ? largest_row : largest_column;
            const Real nearest = rint(positions[2 * j + axis]);
            const Real left = positions[2 * j + axis] - nearest;
            corners[2 * j + axis] = nearest >= largest ? largest : nearest > 0 ? static_cast<long long>(nearest) : 0;
            if (fraction) fraction[2 * j + axis] = left == left ? left : 0;
        }
    }
}

// windows[j, r, c] = obj[top_j + r, left_j + c]
template <typename Real, int Parts, typename Index>
__global__ void __launch_bounds__(256)
take_windows(const Pixel<Real, Parts>* __restrict__ obj, long long height, long long width,
             const Index* __restrict__ corners, long long views, long long n,
             Pixel<Real, Parts>* __restrict__ windows)
{
    Pixel<Real, Parts> missing;
    for (int k = 0; k < Parts; ++k) missing.part[k] = static_cast<Real>(nan(""));

    for (long long j = blockIdx.z; j < views; j += gridDim.z) {
        const long long top = corners[2 * j];
        const long long left = corners[2 * j + 1];
        for (long long r = first_of(blockIdx.y, blockDim.y, threadIdx.y); r < n; r += stride_of(gridDim.y, blockDim.y)) {
            const bool row_within = within(top + r, height);
            for (long long c = first_of(blockIdx.x, blockDim.x, threadIdx.x); c < n;
                 c += stride_of(gridDim.x, blockDim.x)) {
                const bool inside = row_within && within(left + c, width);
                windows[(j * n + r) * n + c] = inside ? obj[(top + r) * width + left + c] : missing;
            }
        }
    }
}

// dest[top_j + r, left_j + c] += windows[j, r, c], in whatever order the hardware takes the views.
// window_stride is the number of pixels from one window to the next, 0 where all views share one.
template <typename Real, int Parts, typename Index>
__global__ void __launch_bounds__(256)
add_windows(Pixel<Real, Parts>* dest, long long height, long long width,
            const Index* __restrict__ corners, long long views, long long n,
            const Pixel<Real, Parts>* __restrict__ windows, long long window_stride)
{
    over_pixels(views, n, [&](long long j, long long r, long long c) {
        const long long top = corners[2 * j];
        const long long left = corners[2 * j + 1];
        if (!within(top + r, height) || !within(left + c, width)) return;
        const Pixel<Real, Parts> value = windows[j * window_stride + r * n + c];
        Pixel<Real, Parts>& target = dest[(top + r) * width + left + c];
        for (int k = 0; k < Parts; ++k) atomicAdd(&target.part[k], value.part[k]);
    });
}

// The same sum gathered, in the order of the views, as NumPy does: the same bits. The grid is over (columns, rows) of dest.
template <typename Real, int Parts, typename Index>
__global__ void __launch_bounds__(256)
add_windows_in_order(Pixel<Real, Parts>* dest, long long height, long long width,
                     const Index* __restrict__ corners, long long views, long long n,
                     const Pixel<Real, Parts>* __restrict__ windows, long long window_stride)
{
    using Value = Pixel<Real, Parts>;
    gather<Value>(
        corners, views, n, height, width, [&](Value& sum, long long q) { sum = dest[q]; },
        [&](Value& sum, long long j, long long p) {
            const Value value = windows[j * window_stride + p];
            for (int part = 0; part < Parts; ++part) sum.part[part] += value.part[part];
        },
        [&](const Value& sum, long long q) { dest[q] = sum; });
}
