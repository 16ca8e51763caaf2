// The transforms along the columns of detector waves, and what is done there, in one pass over the waves: forward, what
// detector/factors.cuh says, and back.
//
// waves, intensity, rows, mask, background, partial and values: as for `multiply` in detector/detector.cu, with pixels =
// N x N. `count_type` is the place of the intensities' number type in COUNTS of arrays/cuda.py.
// Launch with threads (columns of a block, N / 8), a multiple of 32 and no more than columns_of_block, and a grid over
// (columns, views), of any size.

#include "common.cuh"
#include "fft/fourier.cuh"
#include "detector/factors.cuh"

template <int N>
__device__ constexpr int columns_of_block()
{
    return N > 64 ? 4096 / N : N;
}

template <typename Real, typename Count>
__device__ inline void read_as(Real* out, const unsigned char* values, long long first, int apart)
{
    const Count* counts = reinterpret_cast<const Count*>(values) + first;
#pragma unroll
    for (int i = 0; i < 8; ++i) out[i] = static_cast<Real>(counts[i * apart]);
}

// Eight counts, `apart` values apart. The type is a number: templates of it would be ten times as many kernels.
template <typename Real>
__device__ inline void read_counts(Real* out, const unsigned char* values, int count_type, long long first, int apart)
{
    switch (count_type) {
    case 0: return read_as<Real, signed char>(out, values, first, apart);
    case 1: return read_as<Real, unsigned char>(out, values, first, apart);
    case 2: return read_as<Real, short>(out, values, first, apart);
    case 3: return read_as<Real, unsigned short>(out, values, first, apart);
    case 4: return read_as<Real, int>(out, values, first, apart);
    case 5: return read_as<Real, unsigned int>(out, values, first, apart);
    case 6: return read_as<Real, long long>(out, values, first, apart);
    case 7: return read_as<Real, unsigned long long>(out, values, first, apart);
    case 8: return read_as<Real, float>(out, values, first, apart);
    default: return read_as<Real, double>(out, values, first, apart);
    }
}

// Eight pixels of a column, T rows of N pixels apart, from one thread's place on.
template <typename Real, int N>
__device__ inline void load(Complex<Real>* v, const Complex<Real>* wave)
{
#pragma unroll
    for (int i = 0; i < 8; ++i) v[i] = wave[i * (N / 8) * N];
}

template <typename Real, int N>
__device__ inline void store(const Complex<Real>* v, Complex<Real>* wave)
{
#pragma unroll
    for (int i = 0; i < 8; ++i) wave[i * (N / 8) * N] = v[i];
}

template <int N>
__device__ constexpr int pitch_of()
{
    return columns_of_block<N>() + 1;
}

// Bring waves of one view, from one thread's place on, to the detector along columns, multiply them by the factors that
// `measure` makes of sum_m |Psi_m|^2, and bring them back. Modes: how many a thread holds in its registers; with 0 there
// may be any number, and they go through memory once more.
template <int Modes, typename Real, int N, int Pitch, typename Measure>
__device__ inline void there_and_back(Complex<Real>* wave, long long modes, const Room<Real, N, Pitch>& room,
                                      const Turns<Real, N>& turns, Measure measure)
{
    constexpr int held = Modes > 0 ? Modes : 1;
    const int t = threadIdx.y;
    Complex<Real> v[held][8];
    Real total[8] = {};
    if constexpr (Modes > 0) {
#pragma unroll
        for (int m = 0; m < Modes; ++m) {
            load<Real, N>(v[m], wave + m * (N * N));
            transform<-1>(v[m], room, turns, t);
#pragma unroll
            for (int i = 0; i < 8; ++i) total[i] += power(v[m][i]);
        }
    } else {
#pragma unroll 1
        for (long long m = 0; m < modes; ++m) {
            load<Real, N>(v[0], wave + m * (N * N));
            transform<-1>(v[0], room, turns, t);
            store<Real, N>(v[0], wave + m * (N * N));
#pragma unroll
            for (int i = 0; i < 8; ++i) total[i] += power(v[0][i]);
        }
    }
    measure(total);
    if constexpr (Modes > 0) {
#pragma unroll
        for (int m = 0; m < Modes; ++m) {
#pragma unroll
            for (int i = 0; i < 8; ++i) v[m][i] = scaled(v[m][i], total[i]);
            transform<1>(v[m], room, turns, t);
            store<Real, N>(v[m], wave + m * (N * N));
        }
    } else {
#pragma unroll 1
        for (long long m = 0; m < modes; ++m) {
            load<Real, N>(v[0], wave + m * (N * N));
#pragma unroll
            for (int i = 0; i < 8; ++i) v[0][i] = scaled(v[0][i], total[i]);
            transform<1>(v[0], room, turns, t);
            store<Real, N>(v[0], wave + m * (N * N));
        }
    }
}

// Bring all waves to the detector, multiply them by what `step` says, and bring them back: see `multiply` in
// detector/detector.cu.
template <int Modes, int N, typename Real, typename Step>
__device__ inline void multiply_columns(Complex<Real>* waves, const unsigned char* __restrict__ intensity,
                                        int count_type, const long long* __restrict__ rows,
                                        const bool* __restrict__ mask, long long mask_stride,
                                        const Real* __restrict__ background, double* __restrict__ partial,
                                        double* __restrict__ values, long long views, long long modes,
                                        const Step step)
{
    __shared__ Complex<Real> shared[N * pitch_of<N>()];
    const Room<Real, N, pitch_of<N>()> room = {shared + threadIdx.x};
    const Turns<Real, N> turns(threadIdx.y);
    const Pixels<Real> seen = {mask, mask_stride, background};
    double misfit = 0.0;

#pragma unroll 1
    for (long long j = blockIdx.y; j < views; j += gridDim.y) {
        double value = 0.0;
#pragma unroll 1
        for (int c = blockIdx.x * blockDim.x + threadIdx.x; c < N; c += gridDim.x * blockDim.x) {
            const int q = threadIdx.y * N + c;
            const long long row = rows[j];
            there_and_back<Modes>(waves + j * modes * (N * N) + q, modes, room, turns, [&](Real* total) {
                Real measured[8];
                Real squares = 0;
                read_counts(measured, intensity, count_type, row * (N * N) + q, N / 8 * N);
#pragma unroll
                for (int i = 0; i < 8; ++i) {
                    const int at = q + i * (N / 8) * N;
                    Real factor = step.masked();
                    if (seen.count(row, at)) {
                        auto& sum = Step::sum(misfit, squares);
                        factor = step.factor(total[i], seen.light(at), measured[i], sum, value);
                    }
                    total[i] = step.unitary(factor);
                }
                misfit += squares;
            });
        }
        if constexpr (Step::has_values) {
            value = block_sum(value);
            if (thread_of_block() == 0) values[j * gridDim.x + blockIdx.x] = value;
            __syncthreads();  // the next sum may use block_sum's memory from here on
        }
    }

    misfit = block_sum(misfit);
    // The block is alone with its part; an atomic addition does not wait for what is there.
    if (thread_of_block() == 0) atomicAdd(&partial[static_cast<long long>(blockIdx.y) * gridDim.x + blockIdx.x], misfit);
}

// The Fourier modulus constraint.
template <typename Real, int N, int Modes>
__global__ void __launch_bounds__(512, Modes == 1 ? 2 : 1)
modulus_columns(Complex<Real>* waves, const unsigned char* __restrict__ intensity, int count_type,
                const long long* __restrict__ rows, const bool* __restrict__ mask, long long mask_stride,
                const Real* __restrict__ background, double* __restrict__ partial, long long views, long long modes,
                int difference, Real floor, Real power_scale, Real wave_scale)
{
    const Modulus<Real> step = {difference ? Real(0) : Real(1), floor, power_scale, wave_scale};
    multiply_columns<Modes, N>(waves, intensity, count_type, rows, mask, mask_stride, background, partial, nullptr,
                               views, modes, step);
}

// The slope of a likelihood. values (views, gridDim.x) = the block's part of sum w L.
template <typename Real, int N, int Modes>
__global__ void __launch_bounds__(512, Modes == 1 ? 2 : 1)
slope_columns(Complex<Real>* waves, const unsigned char* __restrict__ intensity, int count_type,
              const long long* __restrict__ rows, const bool* __restrict__ mask, long long mask_stride,
              const Real* __restrict__ background, double* __restrict__ partial, double* __restrict__ values,
              long long views, long long modes, int noise, Real floor, Real scale)
{
    const Slope<Real> step = {noise, floor, scale};
    multiply_columns<Modes, N>(waves, intensity, count_type, rows, mask, mask_stride, background, partial, values,
                               views, modes, step);
}

// changes (views, 3, gridDim.x): as add_up_changes in detector/detector.cu, of waves (3, views, modes, n, n) transformed along
// rows. Nothing is written back.
template <typename Real, int N>
__global__ void __launch_bounds__(512)
changes_columns(const Complex<Real>* __restrict__ waves, const unsigned char* __restrict__ intensity, int count_type,
                const long long* __restrict__ rows, const bool* __restrict__ mask, long long mask_stride,
                const Real* __restrict__ background, const Real* __restrict__ trials, double* __restrict__ changes,
                long long views, long long modes, int noise, Real floor, Real scale, Real epsilon)
{
    __shared__ Complex<Real> shared[N * pitch_of<N>()];
    const Room<Real, N, pitch_of<N>()> room = {shared + threadIdx.x};
    const Turns<Real, N> turns(threadIdx.y);
    const long long apart = views * modes * (N * N);
    const Changes<Real> step = {noise, floor, scale, epsilon};
    const Pixels<Real> seen = {mask, mask_stride, background};

#pragma unroll 1
    for (long long j = blockIdx.y; j < views; j += gridDim.y) {
        double sums[3] = {0.0, 0.0, 0.0};
        const long long row = rows[j];
#pragma unroll 1
        for (int c = blockIdx.x * blockDim.x + threadIdx.x; c < N; c += gridDim.x * blockDim.x) {
            const int q = threadIdx.y * N + c;
            Powers<Real> powers[8] = {};
#pragma unroll 1
            for (int m = 0; m < modes; ++m) {
                const Complex<Real>* wave = waves + (j * modes + m) * (N * N) + q;
                Complex<Real> v[3][8];
#pragma unroll
                for (int k = 0; k < 3; ++k) {
                    load<Real, N>(v[k], wave + k * apart);
                    transform<-1>(v[k], room, turns, threadIdx.y);
                }
#pragma unroll
                for (int i = 0; i < 8; ++i) powers[i].add(v[0][i], v[1][i], v[2][i]);
            }
            Real measured[8];
            read_counts(measured, intensity, count_type, row * (N * N) + q, N / 8 * N);
#pragma unroll
            for (int i = 0; i < 8; ++i) {
                const int at = q + i * (N / 8) * N;
                if (seen.count(row, at)) step.add(powers[i], trials, seen.light(at), measured[i], sums);
            }
        }
        for (int k = 0; k < 3; ++k) {
            const double sum = block_sum(sums[k]);
            if (thread_of_block() == 0) changes[(3 * j + k) * gridDim.x + blockIdx.x] = sum;
            __syncthreads();  // the next sum may use block_sum's memory from here on
        }
    }
}
