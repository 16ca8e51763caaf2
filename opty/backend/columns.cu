// The transforms along the columns of detector waves, and what is done there, in one pass over the waves: forward, the
// Fourier modulus constraint with its misfit, and back.
//
// waves, intensity, rows, mask, background, floor, partial and the scales: as for fourier_modulus in modulus.cu, with
// pixels = N x N. `count_type` is the place of the intensities' number type in kernels.COUNTS.
// Launch with threads (columns of a block, N / 8), a multiple of 32 and no more than columns_of_block, and a grid over
// (columns, views), of any size.

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

// Modes: how many a thread holds in its registers; with 0 there may be any number, and they go through memory once more.
template <typename Real, int N, int Modes>
__global__ void __launch_bounds__(512, Modes == 1 ? 2 : 1)
modulus_columns(Complex<Real>* waves, const unsigned char* __restrict__ intensity, int count_type,
                const long long* __restrict__ rows, const bool* __restrict__ mask, long long mask_stride,
                const Real* __restrict__ background, double* __restrict__ partial, long long views, long long modes,
                int difference, Real floor, Real power_scale, Real wave_scale)
{
    constexpr int T = N / 8;
    constexpr int held = Modes > 0 ? Modes : 1;
    constexpr int pitch = columns_of_block<N>() + 1;
    __shared__ Complex<Real> shared[N * pitch];
    const Room<Real, N, pitch> room = {shared + threadIdx.x};
    const int t = threadIdx.y;
    const Turns<Real, N> turns(t);
    constexpr int pixels = N * N;
    const long long count = Modes > 0 ? Modes : modes;
    const Real keep = difference ? Real(0) : Real(1);
    double misfit = 0.0;

    for (long long j = blockIdx.y; j < views; j += gridDim.y) {
        for (int c = blockIdx.x * blockDim.x + threadIdx.x; c < N; c += gridDim.x * blockDim.x) {
            Complex<Real>* wave = waves + j * count * pixels + t * N + c;
            const long long row = rows[j];
            Complex<Real> v[held][8];
            Real total[8] = {};
            Real factor[8];
            const auto forward = [&](Complex<Real>* into, const Complex<Real>* from) {
#pragma unroll
                for (int i = 0; i < 8; ++i) into[i] = from[i * T * N];
                transform<-1>(into, room, turns, t);
#pragma unroll
                for (int i = 0; i < 8; ++i) total[i] += power(into[i]);
            };
            const auto backward = [&](Complex<Real>* from, Complex<Real>* into) {
#pragma unroll
                for (int i = 0; i < 8; ++i) from[i] = scaled(from[i], factor[i]);
                transform<1>(from, room, turns, t);
#pragma unroll
                for (int i = 0; i < 8; ++i) into[i * T * N] = from[i];
            };

            if constexpr (Modes > 0) {
#pragma unroll
                for (int m = 0; m < Modes; ++m) forward(v[m], wave + m * pixels);
            } else {
                for (long long m = 0; m < count; ++m) {
                    forward(v[0], wave + m * pixels);
#pragma unroll
                    for (int i = 0; i < 8; ++i) wave[m * pixels + i * T * N] = v[0][i];
                }
            }

            Real measured[8];
            const int q = t * N + c;
            read_counts(measured, intensity, count_type, row * pixels + q, T * N);
#pragma unroll
            for (int i = 0; i < 8; ++i) {
                factor[i] = keep;
                if (mask == nullptr || mask[row * mask_stride + q + i * T * N]) {
                    total[i] *= power_scale;
                    if (background != nullptr) total[i] += background[q + i * T * N];
                    const Real amplitude = sqrt(total[i]);
                    const Real step = sqrt(measured[i]) - amplitude;
                    misfit += static_cast<double>(step) * static_cast<double>(step);
                    factor[i] += step / (amplitude > floor ? amplitude : floor);
                }
                factor[i] *= wave_scale;
            }

            if constexpr (Modes > 0) {
#pragma unroll
                for (int m = 0; m < Modes; ++m) backward(v[m], wave + m * pixels);
            } else {
                for (long long m = 0; m < count; ++m) {
#pragma unroll
                    for (int i = 0; i < 8; ++i) v[0][i] = wave[m * pixels + i * T * N];
                    backward(v[0], wave + m * pixels);
                }
            }
        }
    }

    misfit = block_sum(misfit);
    if (thread_of_block() == 0) partial[static_cast<long long>(blockIdx.y) * gridDim.x + blockIdx.x] += misfit;
}
