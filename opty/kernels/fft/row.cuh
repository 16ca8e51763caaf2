#include "common.cuh"
#include "fft/fourier.cuh"

// Rows of N values, transformed by N / 8 threads each: threadIdx.x in a row, threadIdx.y among those of the block.

template <typename Real, int N>
struct RowRoom {
    Complex<Real> values[(N > 32 ? 2048 / N : N) * Room<Real, N, 1>::size];

    __device__ inline Room<Real, N, 1> mine() { return {values + threadIdx.y * Room<Real, N, 1>::size}; }
};

// Eight values of a row: those of a thread.
template <typename Real, int N>
__device__ inline void load(Complex<Real>* v, const Complex<Real>* line)
{
#pragma unroll
    for (int i = 0; i < 8; ++i) v[i] = line[threadIdx.x + i * (N / 8)];
}

template <typename Real, int N>
__device__ inline void store(const Complex<Real>* v, Complex<Real>* line)
{
#pragma unroll
    for (int i = 0; i < 8; ++i) line[threadIdx.x + i * (N / 8)] = v[i];
}

// Calls work(j, r) with the rows r of images j that are the block's.
template <int N, typename Work>
__device__ inline void over_rows(long long images, Work work)
{
#pragma unroll 1
    for (long long j = blockIdx.y; j < images; j += gridDim.y) {
#pragma unroll 1
        for (int r = blockIdx.x * blockDim.y + threadIdx.y; r < N; r += gridDim.x * blockDim.y) work(j, r);
    }
}

// Eight pixels of row r of the window at (top, left).
template <typename Real, int N>
__device__ inline void load_object(Complex<Real>* o, const Complex<Real>* obj, long long height, long long width,
                                   long long top, long long left, int r)
{
    if (within(top + r, height) && left >= 0 && left + N <= width) {
        load<Real, N>(o, obj + (top + r) * width + left);
        return;
    }
#pragma unroll
    for (int i = 0; i < 8; ++i) o[i] = pixel_of(obj, height, width, top + r, left + threadIdx.x + i * (N / 8));
}
