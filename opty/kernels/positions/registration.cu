// The shift between two images of each view: the maximum of |c(d)|, c their cross-correlation as a trigonometric
// polynomial, first among whole pixels near by, then by Newton steps on the polynomial itself.
//
// images (views, 2, n, n): of each view the moved image, then the fixed one. Between `contrast` and `near_rows` they
// are transformed, in place; what factor the transform has does not matter, for only the place of a maximum counts.
// near (2 reach + 1, n) = exp(i g q), g = -reach ... reach, reach <= Reach; frequencies q are in FFT order.
// The threads are told with each kernel; the grid may be of any size.

#include "common.cuh"

constexpr double whole_turn = 6.283185307179586;  // 2 pi
constexpr int held_side = 1024;                   // n whose waves fit into shared memory

// The number of a frequency: whole turns over n pixels.
__device__ inline long long frequency_of(long long i, long long n)
{
    return i < (n + 1) / 2 ? i : i - n;
}

// exp(i d q) at one frequency
__device__ inline Complex<double> wave_at(double d, long long i, long long n)
{
    return phase_of(d * static_cast<double>(frequency_of(i, n)) / static_cast<double>(n));
}

template <typename To, typename From>
__device__ inline Complex<To> as(Complex<From> a)
{
    return {static_cast<To>(a.re), static_cast<To>(a.im)};
}

// The sum over the lanes of a warp, in its first one.
template <typename Real>
__device__ inline Complex<Real> warp_sum(Complex<Real> a)
{
    for (int step = 16; step > 0; step /= 2) {
        a.re += __shfl_down_sync(0xffffffffu, a.re, step);
        a.im += __shfl_down_sync(0xffffffffu, a.im, step);
    }
    return a;
}

// images_k = mask (images_k - mean), the mean weighted by mask (pixels), `total` its sum: what stands still, and would
// hold them. seen (count): is there more left than `rounding` of the mean? Else nothing of the image is.
// Launch with 1024 threads; threads and grid, over the images, have one dimension.
template <typename Real>
__global__ void __launch_bounds__(1024)
contrast(Complex<Real>* __restrict__ images, const Real* __restrict__ mask, long long count, long long pixels,
         double total, double rounding, int* __restrict__ seen)
{
    __shared__ Complex<double> of_block;

    for (long long k = blockIdx.x; k < count; k += gridDim.x) {
        Complex<Real>* image = images + k * pixels;
        Complex<double> sum = {0.0, 0.0};
        for (long long q = threadIdx.x; q < pixels; q += blockDim.x)
            sum = sum + scaled(as<double>(image[q]), static_cast<double>(mask[q]));
        sum.re = block_sum(sum.re);
        __syncthreads();  // the next sum may use block_sum's memory from here on
        sum.im = block_sum(sum.im);
        if (threadIdx.x == 0) of_block = scaled(sum, 1.0 / total);
        __syncthreads();
        const Complex<double> mean = of_block;

        double most = 0.0;
        for (long long q = threadIdx.x; q < pixels; q += blockDim.x) {
            const Complex<Real> left = scaled(image[q] - as<Real>(mean), mask[q]);
            image[q] = left;
            const double here = power(as<double>(left));  // in single precision a square may leave the range
            most = here > most ? here : most;
        }
        const bool stays = block_max(most) > rounding * rounding * power(mean);
        if (threadIdx.x == 0) seen[k] = stays;
        if (stays) continue;
        for (long long q = threadIdx.x; q < pixels; q += blockDim.x) image[q] = {0, 0};
    }
}

// Of the transforms of images: the moved one becomes the cross spectrum, moved conj(fixed), and parts (views, slices,
// 2 reach + 1, n) its product with near from the left, the sum over every `slices`-th row. The grid is over (columns,
// slices, views). Launch with 64 threads in one dimension.
template <typename Real, int Reach>
__global__ void __launch_bounds__(64)
near_rows(Complex<Real>* __restrict__ images, const Complex<Real>* __restrict__ near, long long reach, long long views,
          long long n, long long slices, Complex<Real>* __restrict__ parts)
{
    constexpr int most = 2 * Reach + 1;
    const int side = static_cast<int>(2 * reach + 1);

    for (long long j = blockIdx.z; j < views; j += gridDim.z) {
        Complex<Real>* moved = images + 2 * j * n * n;
        const Complex<Real>* fixed = moved + n * n;
        for (long long s = blockIdx.y; s < slices; s += gridDim.y) {
            for (long long x = first_of(blockIdx.x, blockDim.x, threadIdx.x); x < n;
                 x += stride_of(gridDim.x, blockDim.x)) {
                Complex<Real> sums[most] = {};
                for (long long y = s; y < n; y += slices) {
                    const Complex<Real> both = moved[y * n + x] * conj(fixed[y * n + x]);
                    moved[y * n + x] = both;
#pragma unroll
                    for (int g = 0; g < most; ++g)
                        if (g < side) sums[g] = sums[g] + near[g * n + y] * both;
                }
#pragma unroll
                for (int g = 0; g < most; ++g)
                    if (g < side) parts[((j * slices + s) * side + g) * n + x] = sums[g];
            }
        }
    }
}

// The first place, counted along rows of `side`, where the correlation on whole pixels is highest, in all threads:
// parts (slices, side, n) times near from the right. Each warp takes rows. All threads of the block must call it.
template <typename Real, int Reach>
__device__ inline int highest(const Complex<Real>* parts, const Complex<Real>* near, int side, long long n,
                              long long slices)
{
    constexpr int most = 2 * Reach + 1;
    __shared__ double height[most];
    __shared__ int column[most];

    for (int g = threadIdx.y; g < side; g += blockDim.y) {
        Complex<Real> sums[most] = {};
        for (long long x = threadIdx.x; x < n; x += blockDim.x) {
            Complex<Real> of_row = {0, 0};
            for (long long s = 0; s < slices; ++s) of_row = of_row + parts[(s * side + g) * n + x];
#pragma unroll
            for (int h = 0; h < most; ++h)
                if (h < side) sums[h] = sums[h] + of_row * near[h * n + x];
        }
        double top = -1.0;
        int at = 0;
#pragma unroll
        for (int h = 0; h < most; ++h) {
            if (h >= side) continue;
            const double here = power(as<double>(warp_sum(sums[h])));
            at = here > top ? h : at;
            top = here > top ? here : top;
        }
        if (threadIdx.x == 0) {
            height[g] = top;
            column[g] = at;
        }
    }
    __syncthreads();
    int best = 0;
    for (int g = 1; g < side; ++g) best = height[g] > height[best] ? g : best;
    return best * side + column[best];
}

// What a Newton step asks of a spectrum (n, n): M_kl = sum q_y^k q_x^l exp(i (d_y q_y + d_x q_x)) spectrum, in the order
// 00, 10, 20, 01, 11, 02 in `moments`, valid for all threads. Rows are added up in their own precision, 1 / 16 of
// them at a time, all else in double. All threads of the block, (32, 16), must call it.
template <typename Real>
__device__ inline void add_up_moments(const Complex<Real>* spectrum, const double* d, long long n,
                                      Complex<double>* moments)
{
    __shared__ Complex<Real> down[held_side];
    __shared__ Complex<double> across[held_side];
    __shared__ Complex<double> of_warp[16][6];
    const bool held = n <= held_side;
    const double turn = whole_turn / static_cast<double>(n);

    for (long long i = thread_of_block(); held && i < n; i += blockDim.x * blockDim.y) {
        down[i] = as<Real>(wave_at(d[0], i, n));
        across[i] = wave_at(d[1], i, n);
    }
    __syncthreads();

    Complex<double> sums[6] = {};
    for (long long x = threadIdx.x; x < n; x += blockDim.x) {
        Complex<Real> of_column[3] = {};
        for (long long y = threadIdx.y; y < n; y += blockDim.y) {
            const Complex<Real> here = spectrum[y * n + x] * (held ? down[y] : as<Real>(wave_at(d[0], y, n)));
            const Real q = static_cast<Real>(turn * static_cast<double>(frequency_of(y, n)));
            of_column[0] = of_column[0] + here;
            of_column[1] = of_column[1] + scaled(here, q);
            of_column[2] = of_column[2] + scaled(here, q * q);
        }
        const Complex<double> wave = held ? across[x] : wave_at(d[1], x, n);
        const double q = turn * static_cast<double>(frequency_of(x, n));
        const Complex<double> zeroth = as<double>(of_column[0]) * wave;
        const Complex<double> first = as<double>(of_column[1]) * wave;
        sums[0] = sums[0] + zeroth;
        sums[1] = sums[1] + first;
        sums[2] = sums[2] + as<double>(of_column[2]) * wave;
        sums[3] = sums[3] + scaled(zeroth, q);
        sums[4] = sums[4] + scaled(first, q);
        sums[5] = sums[5] + scaled(zeroth, q * q);
    }

    for (int k = 0; k < 6; ++k) {
        const Complex<double> sum = warp_sum(sums[k]);
        if (threadIdx.x == 0) of_warp[threadIdx.y][k] = sum;
    }
    __syncthreads();
    const unsigned k = thread_of_block();
    if (k < 6) {
        Complex<double> sum = of_warp[0][k];
        for (unsigned warp = 1; warp < blockDim.y; ++warp) sum = sum + of_warp[warp][k];
        moments[k] = sum;
    }
    __syncthreads();
}

__device__ inline double clipped(double value, double least, double most)
{
    return value < least ? least : value > most ? most : value;
}

// One Newton step on |c(d)|^2, c and its derivatives from the moments; at most a pixel from `start`.
__device__ inline void step_from(const Complex<double>* moments, const double* start, double* d)
{
    const Complex<double> c = moments[0];
    const Complex<double> cy = {-moments[1].im, moments[1].re};  // times i
    const Complex<double> cx = {-moments[3].im, moments[3].re};
    const double gy = overlap(c, cy);
    const double gx = overlap(c, cx);
    const double hyy = power(cy) - overlap(c, moments[2]);
    const double hxx = power(cx) - overlap(c, moments[5]);
    const double hxy = overlap(cy, cx) - overlap(c, moments[4]);
    const double det = hyy * hxx - hxy * hxy;
    // Away from a maximum (or on an image without structure) a Newton step means nothing: stay.
    if (!(det > 0 && hyy < 0)) return;
    d[0] = clipped(d[0] - (hxx * gy - hxy * gx) / det, start[0] - 1, start[0] + 1);
    d[1] = clipped(d[1] - (hyy * gx - hxy * gy) / det, start[1] - 1, start[1] + 1);
}

// out (any views, 2) at `rows` = d, from the cross spectra and the parts that `near_rows` left; 0 where one of the two
// images is not `seen`. Launch with threads (32, 16) and a grid of one dimension, over the views.
template <typename Real, int Reach>
__global__ void __launch_bounds__(512)
peak(const Complex<Real>* __restrict__ images, const Complex<Real>* __restrict__ near,
     const Complex<Real>* __restrict__ parts, const int* __restrict__ seen, const long long* __restrict__ rows,
     long long reach, long long views, long long n, long long slices, long long steps, double* __restrict__ out)
{
    __shared__ double d[2];
    __shared__ Complex<double> moments[6];
    const int side = static_cast<int>(2 * reach + 1);

    for (long long j = blockIdx.x; j < views; j += gridDim.x) {
        double start[2] = {0.0, 0.0};
        const bool both = seen[2 * j] && seen[2 * j + 1];
        if (both) {
            const int best = highest<Real, Reach>(parts + j * slices * side * n, near, side, n, slices);
            start[0] = static_cast<double>(best / side - reach);
            start[1] = static_cast<double>(best % side - reach);
        }
        if (thread_of_block() == 0) {
            d[0] = start[0];
            d[1] = start[1];
        }
        __syncthreads();
        for (long long k = 0; both && k < steps; ++k) {
            add_up_moments(images + 2 * j * n * n, d, n, moments);
            if (thread_of_block() == 0) step_from(moments, start, d);
            __syncthreads();
        }
        if (thread_of_block() == 0) {
            out[2 * rows[j]] = d[0];
            out[2 * rows[j] + 1] = d[1];
        }
        __syncthreads();  // the next view may use what is shared from here on
    }
}
