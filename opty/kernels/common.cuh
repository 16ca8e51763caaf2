// What all kernels share.

template <typename Real>
struct alignas(2 * sizeof(Real)) Complex {
    Real re, im;
};

template <typename Real>
__device__ inline Complex<Real> operator+(Complex<Real> a, Complex<Real> b)
{
    return {a.re + b.re, a.im + b.im};
}

template <typename Real>
__device__ inline Complex<Real> operator-(Complex<Real> a, Complex<Real> b)
{
    return {a.re - b.re, a.im - b.im};
}

template <typename Real>
__device__ inline Complex<Real> operator*(Complex<Real> a, Complex<Real> b)
{
    return {a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re};
}

template <typename Real>
__device__ inline Complex<Real> conj(Complex<Real> a)
{
    return {a.re, -a.im};
}

template <typename Real>
__device__ inline Complex<Real> scaled(Complex<Real> a, Real factor)
{
    return {a.re * factor, a.im * factor};
}

template <typename Real>
__device__ inline Real power(Complex<Real> a)
{
    return a.re * a.re + a.im * a.im;
}

// Re conj(a) b
template <typename Real>
__device__ inline Real overlap(Complex<Real> a, Complex<Real> b)
{
    return a.re * b.re + a.im * b.im;
}

// exp(2 pi i turns)
__device__ inline Complex<float> phase_of(float turns)
{
    Complex<float> phase;
    sincospif(2 * turns, &phase.im, &phase.re);
    return phase;
}

__device__ inline Complex<double> phase_of(double turns)
{
    Complex<double> phase;
    sincospi(2 * turns, &phase.im, &phase.re);
    return phase;
}

// The larger and the smaller of two; where the first is no number, that: a comparison would drop it.
template <typename Real>
__device__ inline Real larger(Real value, Real least)
{
    return value < least ? least : value;
}

template <typename Real>
__device__ inline Real smaller(Real value, Real most)
{
    return value > most ? most : value;
}

// Where a thread starts along an axis of the grid, and how far apart its places are: all loops stride over the grid.
__device__ inline long long first_of(unsigned block, unsigned threads, unsigned thread)
{
    return static_cast<long long>(block) * threads + thread;
}

__device__ inline long long stride_of(unsigned blocks, unsigned threads)
{
    return static_cast<long long>(blocks) * threads;
}

__device__ inline bool within(long long i, long long size)
{
    return i >= 0 && i < size;
}

// A pixel of the object, NaN outside of it: a kernel cannot raise, and the watch over a run looks for NaN.
template <typename Real>
__device__ inline Complex<Real> pixel_of(const Complex<Real>* obj, long long height, long long width, long long r,
                                         long long c)
{
    if (within(r, height) && within(c, width)) return obj[r * width + c];
    const Real missing = static_cast<Real>(nan(""));
    return {missing, missing};
}

template <typename Real>
__device__ inline void add_atomically(Complex<Real>* where, Complex<Real> value)
{
    atomicAdd(&where->re, value.re);
    atomicAdd(&where->im, value.im);
}

__device__ inline unsigned thread_of_block()
{
    return threadIdx.y * blockDim.x + threadIdx.x;
}

// The sum over the threads of a block (a multiple of 32, in two dimensions at most), in its first thread.
__device__ inline double block_sum(double value)
{
    __shared__ double of_warp[32];
    const unsigned lane = thread_of_block() % 32;
    const unsigned warp = thread_of_block() / 32;
    for (int step = 16; step > 0; step /= 2) value += __shfl_down_sync(0xffffffffu, value, step);
    if (lane == 0) of_warp[warp] = value;
    __syncthreads();
    if (warp != 0) return 0.0;
    value = lane < blockDim.x * blockDim.y / 32 ? of_warp[lane] : 0.0;
    for (int step = 16; step > 0; step /= 2) value += __shfl_down_sync(0xffffffffu, value, step);
    return value;
}

// The largest of values from 0 up among the threads of a block, in all of them.
template <typename Real>
__device__ inline Real block_max(Real value)
{
    __shared__ Real of_warp[32];
    const unsigned warps = blockDim.x * blockDim.y / 32;
    for (int step = 16; step > 0; step /= 2) {
        const Real other = __shfl_down_sync(0xffffffffu, value, step);
        value = other > value ? other : value;
    }
    if (thread_of_block() % 32 == 0) of_warp[thread_of_block() / 32] = value;
    __syncthreads();
    Real most = 0;
    for (unsigned warp = 0; warp < warps; ++warp) most = of_warp[warp] > most ? of_warp[warp] : most;
    __syncthreads();  // of_warp may be written for the next call from here on
    return most;
}

// The largest of partial results that another launch left, in all threads of the block.
__device__ inline double largest_of(const double* partial, long long count)
{
    double most = 0.0;
    for (long long i = thread_of_block(); i < count; i += blockDim.x * blockDim.y)
        most = partial[i] > most ? partial[i] : most;
    return block_max(most);
}

// Calls work(j, r, c) with every pixel of the windows of n x n of all views; the grid is over (columns, rows, views).
template <typename Work>
__device__ inline void over_pixels(long long views, long long n, Work work)
{
    for (long long j = blockIdx.z; j < views; j += gridDim.z) {
        for (long long r = first_of(blockIdx.y, blockDim.y, threadIdx.y); r < n; r += stride_of(gridDim.y, blockDim.y)) {
            for (long long c = first_of(blockIdx.x, blockDim.x, threadIdx.x); c < n;
                 c += stride_of(gridDim.x, blockDim.x))
                work(j, r, c);
        }
    }
}
