// What the waves of a batch say of object and probe, added up: with atomics, in the order of the views, or both at once.
//
// waves (rows of all views, modes, n, n), at `rows`; corners (views, 2); illum (views or 1, modes, n, n), illum_stride
// values from one view to the next, 0 where all share one; obj, obj_sum, obj_weight (height, width); probe_sum
// (modes, n, n); probe_weight (n, n). What would be added outside the object is dropped; what is read there is NaN.
// Launch with threads (32, 8); the grid is told with each kernel and may be of any size.

#include "common.cuh"
#include "accumulate/touching.cuh"

// What view j says of one pixel of its window: sum_m conj(P_m) w_m and sum_m |P_m|^2.
template <typename Real>
struct Said {
    Complex<Real> sum;
    Real weight;
};

template <typename Real>
__device__ inline Said<Real> said_of_object(const Complex<Real>* wave, const Complex<Real>* illum, long long modes,
                                            long long pixels)
{
    Said<Real> said = {{0, 0}, 0};
    for (long long m = 0; m < modes; ++m) {
        const Complex<Real> p = illum[m * pixels];
        said.sum = said.sum + conj(p) * wave[m * pixels];
        said.weight += power(p);
    }
    return said;
}

// obj_sum += sum_m conj(illum_jm) waves_jm, obj_weight += sum_m |illum_jm|^2, the views in whatever order the hardware
// takes them. The grid is over (columns, rows, views).
template <typename Real>
__global__ void __launch_bounds__(256)
add_to_object(const Complex<Real>* __restrict__ waves, const long long* __restrict__ rows,
              const long long* __restrict__ corners, const Complex<Real>* __restrict__ illum, long long illum_stride,
              long long views, long long modes, long long n, Complex<Real>* obj_sum, Real* obj_weight,
              long long height, long long width)
{
    const long long pixels = n * n;
    over_pixels(views, n, [&](long long j, long long r, long long c) {
        const long long top = corners[2 * j];
        const long long left = corners[2 * j + 1];
        if (!within(top + r, height) || !within(left + c, width)) return;
        const long long q = r * n + c;
        const Said<Real> said =
            said_of_object(waves + rows[j] * modes * pixels + q, illum + j * illum_stride + q, modes, pixels);
        const long long there = (top + r) * width + left + c;
        add_atomically(&obj_sum[there], said.sum);
        atomicAdd(&obj_weight[there], said.weight);
    });
}

// The same sums gathered: each pixel of the object adds the views that cover it in ascending order, without atomics, so
// that the result is the same bits every time. The grid is over (columns, 2 x rows) of the object.
template <typename Real>
__global__ void __launch_bounds__(256)
add_to_object_in_order(const Complex<Real>* __restrict__ waves, const long long* __restrict__ rows,
                       const long long* __restrict__ corners, const Complex<Real>* __restrict__ illum,
                       long long illum_stride, long long views, long long modes, long long n, Complex<Real>* obj_sum,
                       Real* obj_weight, long long height, long long width)
{
    constexpr int each = 2;  // pixels of a thread, below each other: where a view lies is worked out once for them
    __shared__ Touching found;
    __shared__ long long first_wave[256], first_seen[256];  // where the tile begins in what is known of each view
    const int side = static_cast<int>(n);
    const int pixels = side * side;
    const int apart = blockDim.y;
    const int down = threadIdx.y;
    const int across = threadIdx.x;
    const int thread = static_cast<int>(thread_of_block());

    for (long long tile_r = first_of(blockIdx.y, each * blockDim.y, 0); tile_r < height;
         tile_r += stride_of(gridDim.y, each * blockDim.y)) {
        for (long long tile_c = first_of(blockIdx.x, blockDim.x, 0); tile_c < width;
             tile_c += stride_of(gridDim.x, blockDim.x)) {
            const long long there = (tile_r + down) * width + tile_c + across;
            const bool inside = tile_c + across < width;
            const int left_over = static_cast<int>(height - tile_r < each * apart ? height - tile_r : each * apart) - down;
            Said<Real> total[each] = {};
            bool any[each] = {};

            for (long long chunk = 0; chunk < views; chunk += blockDim.x * blockDim.y) {
                const int count = find_touching(corners, chunk, views, n, tile_r, tile_c, each * apart, found);
                if (thread < count) {
                    const long long j = chunk + found.view[thread];
                    const int begin = found.down[thread] * side + found.across[thread];
                    first_wave[thread] = rows[j] * modes * pixels + begin;
                    first_seen[thread] = j * illum_stride + begin;
                }
                __syncthreads();
                for (int k = 0; k < count; ++k) {
                    const int row = down + found.down[k];
                    const int column = across + found.across[k];
                    const bool covered = inside && column >= 0 && column < side;
                    const Complex<Real>* wave = waves + (first_wave[k] + down * side + across);
                    const Complex<Real>* seen = illum + (first_seen[k] + down * side + across);
                    bool covers[each];
                    Said<Real> said[each] = {};
#pragma unroll
                    for (int u = 0; u < each; ++u) {
                        const int r = row + u * apart;
                        covers[u] = covered && r >= 0 && r < side && u * apart < left_over;
                    }
                    for (int m = 0; m < modes; ++m, wave += pixels, seen += pixels) {
#pragma unroll
                        for (int u = 0; u < each; ++u) {
                            const int q = u * apart * side;
                            const Complex<Real> w = covers[u] ? wave[q] : Complex<Real>{0, 0};
                            const Complex<Real> p = covers[u] ? seen[q] : Complex<Real>{0, 0};
                            said[u] = {said[u].sum + conj(p) * w, said[u].weight + power(p)};
                        }
                    }
#pragma unroll
                    for (int u = 0; u < each; ++u) {
                        if (!covers[u]) continue;
                        const long long q = there + u * apart * width;
                        if (!any[u]) total[u] = {obj_sum[q], obj_weight[q]};
                        any[u] = true;
                        total[u] = {total[u].sum + said[u].sum, total[u].weight + said[u].weight};
                    }
                }
                __syncthreads();
            }
#pragma unroll
            for (int u = 0; u < each; ++u) {
                if (!any[u]) continue;
                obj_sum[there + u * apart * width] = total[u].sum;
                obj_weight[there + u * apart * width] = total[u].weight;
            }
        }
    }
}

// probe_sum_m += conj(O_j) waves_jm and probe_weight += |O_j|^2 over the views. A thread adds up a slice of the views
// for some pixels of one mode, in ascending order, in registers; with one slice for all views it begins with what is
// there, so that the result is the same bits every time. The grid is over (columns, 4 x rows, modes x slices), with no
// less than that many blocks in depth.
template <typename Real>
__global__ void __launch_bounds__(256, 4)
add_to_probe(const Complex<Real>* __restrict__ waves, const long long* __restrict__ rows,
             const Complex<Real>* __restrict__ obj, long long height, long long width,
             const long long* __restrict__ corners, long long views, long long modes, long long n,
             Complex<Real>* probe_sum, Real* probe_weight, long long slices)
{
    constexpr int each = 4;  // pixels of a thread, below each other: where a view lies is worked out once for them
    __shared__ long long first_seen[256], first_wave[256];  // where each view begins
    __shared__ int beyond;                                  // whether a window of them reaches beyond the object
    const long long m = blockIdx.z % modes;
    const long long slice = blockIdx.z / modes;
    const long long size = (views + slices - 1) / slices;
    const long long end = (slice + 1) * size < views ? (slice + 1) * size : views;
    const bool alone = slices == 1;
    const int side = static_cast<int>(n);
    const int apart = blockDim.y;
    const int threads = blockDim.x * blockDim.y;
    const int thread = static_cast<int>(thread_of_block());

    for (int tile_r = blockIdx.y * each * apart; tile_r < side; tile_r += gridDim.y * each * apart) {
        for (int tile_c = blockIdx.x * blockDim.x; tile_c < side; tile_c += gridDim.x * blockDim.x) {
            const int r = tile_r + threadIdx.y;
            const int c = tile_c + threadIdx.x;
            const int mine = c < side ? (side - r + apart - 1) / apart : 0;  // rows from here on, of which it takes some
            Complex<Real>* sums = probe_sum + m * n * n + r * side + c;
            Real* weights = probe_weight + r * side + c;
            Complex<Real> sum[each] = {};
            Real weight[each] = {};
#pragma unroll
            for (int u = 0; u < each; ++u) {
                if (!alone || u >= mine) continue;
                sum[u] = sums[u * apart * side];
                weight[u] = weights[u * apart * side];
            }
            for (long long chunk = slice * size; chunk < end; chunk += threads) {
                const int count = static_cast<int>(end - chunk < threads ? end - chunk : threads);
                if (thread == 0) beyond = 0;
                __syncthreads();
                if (thread < count) {
                    const long long top = corners[2 * (chunk + thread)];
                    const long long left = corners[2 * (chunk + thread) + 1];
                    if (top < 0 || left < 0 || top + n > height || left + n > width) beyond = 1;
                    first_seen[thread] = top * width + left;
                    first_wave[thread] = (rows[chunk + thread] * modes + m) * n * n;
                }
                __syncthreads();
                if (!beyond && mine >= each) {
#pragma unroll 2
                    for (int k = 0; k < count; ++k) {
                        const Complex<Real>* seen = obj + (first_seen[k] + r * width + c);
                        const Complex<Real>* wave = waves + (first_wave[k] + r * side + c);
#pragma unroll
                        for (int u = 0; u < each; ++u) {
                            const Complex<Real> o = seen[u * apart * width];
                            sum[u] = sum[u] + conj(o) * wave[u * apart * side];
                            weight[u] += power(o);
                        }
                    }
                } else {
                    for (int k = 0; k < count; ++k) {
                        const long long* corner = corners + 2 * (chunk + k);
                        const Complex<Real>* wave = waves + (first_wave[k] + r * side + c);
#pragma unroll
                        for (int u = 0; u < each; ++u) {
                            if (u >= mine) continue;
                            const Complex<Real> o = pixel_of(obj, height, width, corner[0] + r + u * apart, corner[1] + c);
                            sum[u] = sum[u] + conj(o) * wave[u * apart * side];
                            weight[u] += power(o);
                        }
                    }
                }
                __syncthreads();
            }
#pragma unroll
            for (int u = 0; u < each; ++u) {
                if (u >= mine) continue;
                if (alone) {
                    sums[u * apart * side] = sum[u];
                    if (m == 0) weights[u * apart * side] = weight[u];
                } else {
                    add_atomically(&sums[u * apart * side], sum[u]);
                    if (m == 0) atomicAdd(&weights[u * apart * side], weight[u]);
                }
            }
        }
    }
}

// Both sums in one pass over the waves: the object's with atomics, the probe's of all Modes in registers. The grid is
// over (columns, rows, slices of the views), with no less than `slices` blocks in depth.
template <typename Real, int Modes>
__global__ void __launch_bounds__(256)
add_to_both(const Complex<Real>* __restrict__ waves, const long long* __restrict__ rows,
            const Complex<Real>* __restrict__ obj, const long long* __restrict__ corners,
            const Complex<Real>* __restrict__ illum, long long illum_stride, long long views, long long n,
            Complex<Real>* obj_sum, Real* obj_weight, long long height, long long width, Complex<Real>* probe_sum,
            Real* probe_weight, long long slices)
{
    const long long pixels = n * n;
    const long long size = (views + slices - 1) / slices;
    const long long first = blockIdx.z * size;
    const long long end = first + size < views ? first + size : views;

    for (long long r = first_of(blockIdx.y, blockDim.y, threadIdx.y); r < n; r += stride_of(gridDim.y, blockDim.y)) {
        for (long long c = first_of(blockIdx.x, blockDim.x, threadIdx.x); c < n; c += stride_of(gridDim.x, blockDim.x)) {
            const long long q = r * n + c;
            Complex<Real> sums[Modes] = {};
            Real weight = 0;
            for (long long j = first; j < end; ++j) {
                const long long row = corners[2 * j] + r;
                const long long column = corners[2 * j + 1] + c;
                const Complex<Real> o = pixel_of(obj, height, width, row, column);
                const Complex<Real>* wave = waves + rows[j] * Modes * pixels + q;
                const Complex<Real>* seen = illum + j * illum_stride + q;
                Said<Real> said = {{0, 0}, 0};
#pragma unroll
                for (int m = 0; m < Modes; ++m) {
                    const Complex<Real> w = wave[m * pixels];
                    const Complex<Real> p = seen[m * pixels];
                    sums[m] = sums[m] + conj(o) * w;
                    said = {said.sum + conj(p) * w, said.weight + power(p)};
                }
                weight += power(o);
                if (!within(row, height) || !within(column, width)) continue;
                add_atomically(&obj_sum[row * width + column], said.sum);
                atomicAdd(&obj_weight[row * width + column], said.weight);
            }
#pragma unroll
            for (int m = 0; m < Modes; ++m) add_atomically(&probe_sum[m * pixels + q], sums[m]);
            atomicAdd(&probe_weight[q], weight);
        }
    }
}

// sums (N, of_row) of parts (B, of_row, each), count = B of_row, at rows (B,), or one after the other where rows is null.
// Launch with a multiple of 32 threads and a grid over the sums, of any size.
template <typename Sum>
__global__ void __launch_bounds__(256)
sum_parts(const Sum* __restrict__ parts, long long count, long long each, const long long* __restrict__ rows,
          long long of_row, Sum* __restrict__ sums)
{
    for (long long k = blockIdx.x; k < count; k += gridDim.x) {
        double sum = 0.0;
        for (long long i = threadIdx.x; i < each; i += blockDim.x) sum += parts[k * each + i];
        sum = block_sum(sum);
        if (threadIdx.x == 0) sums[rows ? rows[k / of_row] * of_row + k % of_row : k] = sum;
        __syncthreads();  // the next sum may use block_sum's memory from here on
    }
}
