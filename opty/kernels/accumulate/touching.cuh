#include "common.cuh"

// Views whose windows touch a tile of the object, in ascending order: their numbers, counted from the first view of the
// chunk, and where the tile begins in each window.
struct Touching {
    int of_warp[8], view[256], down[256], across[256];
};

// Which of the views from `chunk` on, as many as there are threads (256 at most), touch the block's tile, of
// tile_rows rows, with their windows of n x n; returns how many. All threads of the block must call it, and synchronise before the next call.
template <typename Index>
__device__ inline int find_touching(const Index* corners, long long chunk, long long views, long long n,
                                    long long tile_r, long long tile_c, int tile_rows, Touching& found)
{
    const unsigned thread = thread_of_block();
    const long long mine = chunk + thread;
    long long top = 0;
    long long left = 0;
    bool touches = false;
    if (mine < views) {
        top = corners[2 * mine];
        left = corners[2 * mine + 1];
        touches = top < tile_r + tile_rows && top + n > tile_r && left < tile_c + blockDim.x && left + n > tile_c;
    }
    const unsigned bits = __ballot_sync(0xffffffffu, touches);
    if (thread % 32 == 0) found.of_warp[thread / 32] = __popc(bits);
    __syncthreads();
    int before = __popc(bits & ((1u << thread % 32) - 1));
    int count = 0;
    for (unsigned warp = 0; warp < blockDim.x * blockDim.y / 32; ++warp) {
        if (warp < thread / 32) before += found.of_warp[warp];
        count += found.of_warp[warp];
    }
    if (touches) {
        found.view[before] = static_cast<int>(thread);
        found.down[before] = static_cast<int>(tile_r - top);
        found.across[before] = static_cast<int>(tile_c - left);
    }
    __syncthreads();
    return count;
}

// For each pixel q of an image (height, width): begin(sum, q), add(sum, j, p) for the views j that cover it, in ascending
// order, with pixel p of their windows of n x n, and end(sum, q). No atomics: the sums are the same bits every time. All
// threads of the block must call it; the grid is over (columns, rows) of the image.
template <typename Sum, typename Index, typename Begin, typename Add, typename End>
__device__ inline void gather(const Index* corners, long long views, long long n, long long height, long long width,
                              Begin begin, Add add, End end)
{
    __shared__ Touching found;

    for (long long tile_r = first_of(blockIdx.y, blockDim.y, 0); tile_r < height;
         tile_r += stride_of(gridDim.y, blockDim.y)) {
        for (long long tile_c = first_of(blockIdx.x, blockDim.x, 0); tile_c < width;
             tile_c += stride_of(gridDim.x, blockDim.x)) {
            const long long r = tile_r + threadIdx.y;
            const long long c = tile_c + threadIdx.x;
            const bool inside = r < height && c < width;
            Sum sum = {};
            if (inside) begin(sum, r * width + c);

            for (long long chunk = 0; chunk < views; chunk += blockDim.x * blockDim.y) {
                const int count = find_touching(corners, chunk, views, n, tile_r, tile_c, blockDim.y, found);
                for (int k = 0; k < count; ++k) {
                    const long long row = threadIdx.y + found.down[k];
                    const long long column = threadIdx.x + found.across[k];
                    if (!inside || !within(row, n) || !within(column, n)) continue;
                    add(sum, chunk + found.view[k], row * n + column);
                }
                __syncthreads();
            }
            if (inside) end(sum, r * width + c);
        }
    }
}
