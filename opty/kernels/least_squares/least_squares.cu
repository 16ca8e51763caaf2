// Steps of least squares: what each view's residual has in common with the directions, the lengths that fit it best,
// and their averages over the views.
//
// obj, obj_step (height, width); corners (views, 2); waves (rows of all views, modes, n, n), at `rows`; illum,
// illum_step (views or 1, modes, n, n), their strides the values from one view to the next, 0 where all share one. What
// is read outside the object is NaN, and what would be added there is dropped.
// Launch with threads (32, 8), or where the threads have one dimension with 256; the grid is told with each kernel and
// may be of any size.

#include "common.cuh"
#include "accumulate/touching.cuh"

// products (views, 5, gridDim.x gridDim.y): the block's part of uu, vv, uv, ur and vr, where ab = Re sum conj(a) b,
// u = illum_jm D_j, D = obj_step, v = illum_step_jm O_j, r = waves. A pixel's modes are added up in their own
// precision, all else in double. The grid is over (columns, rows, views); `sum_parts` adds up the parts.
template <typename Real>
__global__ void __launch_bounds__(256)
add_up_products(const Complex<Real>* __restrict__ waves, const long long* __restrict__ rows,
                const Complex<Real>* __restrict__ obj, const Complex<Real>* __restrict__ obj_step, long long height,
                long long width, const long long* __restrict__ corners, const Complex<Real>* __restrict__ illum,
                long long illum_stride, const Complex<Real>* __restrict__ illum_step, long long step_stride,
                long long views, long long modes, long long n, double* __restrict__ products)
{
    const long long parts = static_cast<long long>(gridDim.x) * gridDim.y;
    const long long block = static_cast<long long>(blockIdx.y) * gridDim.x + blockIdx.x;

    for (long long j = blockIdx.z; j < views; j += gridDim.z) {
        double sums[5] = {0.0, 0.0, 0.0, 0.0, 0.0};
        const int side = static_cast<int>(n);
        const int pixels = side * side;
        const long long top = corners[2 * j];
        const long long left = corners[2 * j + 1];
        const bool inside = top >= 0 && left >= 0 && top + n <= height && left + n <= width;
        const Complex<Real>* of_view = waves + rows[j] * modes * pixels;
        const Complex<Real>* seen = illum + j * illum_stride;
        const Complex<Real>* moved = illum_step + j * step_stride;
        for (int r = blockIdx.y * blockDim.y + threadIdx.y; r < side; r += gridDim.y * blockDim.y) {
            for (int c = blockIdx.x * blockDim.x + threadIdx.x; c < side; c += gridDim.x * blockDim.x) {
                const long long there = (top + r) * width + left + c;
                const Complex<Real> o = inside ? obj[there] : pixel_of(obj, height, width, top + r, left + c);
                const Complex<Real> d = inside ? obj_step[there] : pixel_of(obj_step, height, width, top + r, left + c);
                Real uu = 0, vv = 0, uv = 0, ur = 0, vr = 0;
                for (int m = 0, q = r * side + c; m < modes; ++m, q += pixels) {
                    const Complex<Real> u = seen[q] * d;
                    const Complex<Real> v = moved[q] * o;
                    const Complex<Real> residual = of_view[q];
                    uu += power(u);
                    vv += power(v);
                    uv += overlap(u, v);
                    ur += overlap(u, residual);
                    vr += overlap(v, residual);
                }
                sums[0] += uu;
                sums[1] += vv;
                sums[2] += uv;
                sums[3] += ur;
                sums[4] += vr;
            }
        }
        for (int k = 0; k < 5; ++k) {
            const double sum = block_sum(sums[k]);
            if (thread_of_block() == 0) products[(5 * j + k) * parts + block] = sum;
            __syncthreads();  // the next sum may use block_sum's memory from here on
        }
    }
}

// lengths (2, views) = step times the a and b that minimise |r - a u - b v|^2 + ridge (a^2 + b^2) (uu + vv) / 2, from
// the products (views, 5). Where a and b cannot be told apart they share the step that fits them as one.
// Threads and grid have one dimension.
template <typename Real>
__global__ void __launch_bounds__(256)
solve(const Real* __restrict__ products, long long views, double ridge, double step, double tiny,
      Real* __restrict__ lengths)
{
    for (long long j = first_of(blockIdx.x, blockDim.x, threadIdx.x); j < views; j += stride_of(gridDim.x, blockDim.x)) {
        const Real* of_view = products + 5 * j;
        const double more = ridge * (of_view[0] + of_view[1]) / 2;
        const double uu = of_view[0] + more;
        const double vv = of_view[1] + more;
        const double uv = of_view[2];
        const double ur = of_view[3];
        const double vr = of_view[4];
        const double determinant = uu * vv - uv * uv;
        const bool solvable = determinant > 1e-12 * uu * vv;
        const double both = larger(uu + vv, tiny);
        lengths[j] = step * (solvable ? (vv * ur - uv * vr) / determinant : ur / both);
        lengths[views + j] = step * (solvable ? (uu * vr - uv * ur) / determinant : vr / both);
    }
}

// sum_m |illum_jm|^2 at one pixel.
template <typename Real>
__device__ inline Real light_at(const Complex<Real>* illum, long long modes, long long pixels)
{
    Real light = 0;
    for (long long m = 0; m < modes; ++m) light += power(illum[m * pixels]);
    return light;
}

// total (height, width) += lengths_j sum_m |illum_jm|^2 at the views' places, the views in whatever order the hardware
// takes them. The grid is over (columns, rows, views).
template <typename Real>
__global__ void __launch_bounds__(256)
add_light(const long long* __restrict__ corners, const Complex<Real>* __restrict__ illum, long long illum_stride,
          const double* __restrict__ lengths, long long views, long long modes, long long n, Real* total,
          long long height, long long width)
{
    for (long long j = blockIdx.z; j < views; j += gridDim.z) {
        const long long top = corners[2 * j];
        const long long left = corners[2 * j + 1];
        const Real length = static_cast<Real>(lengths[j]);
        for (long long r = first_of(blockIdx.y, blockDim.y, threadIdx.y); r < n; r += stride_of(gridDim.y, blockDim.y)) {
            if (!within(top + r, height)) continue;
            for (long long c = first_of(blockIdx.x, blockDim.x, threadIdx.x); c < n;
                 c += stride_of(gridDim.x, blockDim.x)) {
                if (!within(left + c, width)) continue;
                const Real light = light_at(illum + j * illum_stride + r * n + c, modes, n * n);
                atomicAdd(&total[(top + r) * width + left + c], length * light);
            }
        }
    }
}

// The same sum gathered, in the order of the views. The grid is over (columns, rows) of the object.
template <typename Real>
__global__ void __launch_bounds__(256)
add_light_in_order(const long long* __restrict__ corners, const Complex<Real>* __restrict__ illum,
                   long long illum_stride, const double* __restrict__ lengths, long long views, long long modes,
                   long long n, Real* total, long long height, long long width)
{
    gather<Real>(
        corners, views, n, height, width, [](Real&, long long) {},
        [&](Real& sum, long long j, long long p) {
            const Real light = light_at(illum + j * illum_stride + p, modes, n * n);
            sum += static_cast<Real>(lengths[j]) * light;
        },
        [&](Real sum, long long q) { total[q] += sum; });
}

// total (n, n) = sum_j lengths_j |O_j|^2, the views in ascending order. The grid is over (columns, rows).
template <typename Real>
__global__ void __launch_bounds__(256)
transmission(const Complex<Real>* __restrict__ obj, long long height, long long width,
             const long long* __restrict__ corners, const double* __restrict__ lengths, long long views, long long n,
             Real* __restrict__ total)
{
    for (long long r = first_of(blockIdx.y, blockDim.y, threadIdx.y); r < n; r += stride_of(gridDim.y, blockDim.y)) {
        for (long long c = first_of(blockIdx.x, blockDim.x, threadIdx.x); c < n; c += stride_of(gridDim.x, blockDim.x)) {
            Real sum = 0;
            for (long long j = 0; j < views; ++j) {
                const Complex<Real> o = pixel_of(obj, height, width, corners[2 * j] + r, corners[2 * j + 1] + c);
                sum += static_cast<Real>(lengths[j]) * power(o);
            }
            total[r * n + c] = sum;
        }
    }
}

// target += direction total / weight, where there is weight; direction (layers, pixels), total and weight (pixels)
// become 0. Where they are 0 already nothing is written. Threads and grid have one dimension.
template <typename Real>
__global__ void __launch_bounds__(256)
add_average(Complex<Real>* target, Complex<Real>* direction, Real* total, Real* weight, long long layers,
            long long pixels)
{
    for (long long q = first_of(blockIdx.x, blockDim.x, threadIdx.x); q < pixels; q += stride_of(gridDim.x, blockDim.x)) {
        const Real sum = total[q];
        const Real below = weight[q];
        const Real share = below > 0 ? sum / below : Real(0);
        for (long long k = 0; k < layers; ++k) {
            const Complex<Real> along = direction[k * pixels + q];
            if (along.re == 0 && along.im == 0) continue;
            target[k * pixels + q] = target[k * pixels + q] + scaled(along, share);
            direction[k * pixels + q] = {0, 0};
        }
        if (sum != 0) total[q] = 0;
        if (below != 0) weight[q] = 0;
    }
}
