// Exit waves of a batch and the transforms along their rows, in one pass over the waves: formed, or formed and reflected
// at kept ones, and transformed forward; transformed back, or that and the step that kept ones take.
//
// Arrays and their arguments as in exit_waves.cu; N = n. What a window takes from outside the object is NaN.
// Launch with threads (N / 8, rows of a block) and a grid over (rows, views), of any size.

// Eight pixels of a row of a window.
template <typename Real, int N>
__device__ inline void load_object(Complex<Real>* o, const Complex<Real>* obj, long long height, long long width,
                                   long long row, long long left)
{
    const bool inside = within(row, height);
    const bool all = inside && left >= 0 && left + N <= width;
    const Complex<Real>* line = obj + row * width + left;
    const Real missing = static_cast<Real>(nan(""));
    const int t = threadIdx.x;
#pragma unroll
    for (int i = 0; i < 8; ++i) {
        const int c = t + i * (N / 8);
        if (all || (inside && within(left + c, width)))
            o[i] = line[c];
        else
            o[i] = {missing, missing};
    }
}

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

template <int N>
__device__ constexpr int rows_of_block()
{
    return N > 32 ? 2048 / N : N;
}

// waves_jm = F illum_jm O_j along rows
template <typename Real, int N>
__global__ void __launch_bounds__(256)
form_rows(const Complex<Real>* __restrict__ obj, long long height, long long width,
          const long long* __restrict__ corners, const Complex<Real>* __restrict__ illum, long long illum_stride,
          long long views, long long modes, Complex<Real>* __restrict__ waves)
{
    __shared__ Complex<Real> shared[rows_of_block<N>() * Room<Real, N, 1>::size];
    const Room<Real, N, 1> room = {shared + threadIdx.y * Room<Real, N, 1>::size};
    const int t = threadIdx.x;
    const Turns<Real, N> turns(t);

    for (long long j = blockIdx.y; j < views; j += gridDim.y) {
        for (int r = blockIdx.x * blockDim.y + threadIdx.y; r < N; r += gridDim.x * blockDim.y) {
            Complex<Real> o[8];
            load_object<Real, N>(o, obj, height, width, corners[2 * j] + r, corners[2 * j + 1]);
            for (long long m = 0; m < modes; ++m) {
                Complex<Real> v[8];
                load<Real, N>(v, illum + j * illum_stride + (m * N + r) * N);
#pragma unroll
                for (int i = 0; i < 8; ++i) v[i] = o[i] * v[i];
                transform<-1>(v, room, turns, t);
                store<Real, N>(v, waves + ((j * modes + m) * N + r) * N);
            }
        }
    }
}

// waves_jm = F (2 illum_jm O_j - kept_jm) along rows
template <typename Real, int N>
__global__ void __launch_bounds__(256)
reflect_rows(const Complex<Real>* __restrict__ obj, long long height, long long width,
             const long long* __restrict__ corners, const Complex<Real>* __restrict__ illum, long long illum_stride,
             const Complex<Real>* __restrict__ kept, const long long* __restrict__ rows, long long views,
             long long modes, Complex<Real>* __restrict__ waves)
{
    __shared__ Complex<Real> shared[rows_of_block<N>() * Room<Real, N, 1>::size];
    const Room<Real, N, 1> room = {shared + threadIdx.y * Room<Real, N, 1>::size};
    const int t = threadIdx.x;
    const Turns<Real, N> turns(t);

    for (long long j = blockIdx.y; j < views; j += gridDim.y) {
        for (int r = blockIdx.x * blockDim.y + threadIdx.y; r < N; r += gridDim.x * blockDim.y) {
            Complex<Real> o[8];
            load_object<Real, N>(o, obj, height, width, corners[2 * j] + r, corners[2 * j + 1]);
            for (long long m = 0; m < modes; ++m) {
                Complex<Real> v[8];
                Complex<Real> psi[8];
                load<Real, N>(v, illum + j * illum_stride + (m * N + r) * N);
                load<Real, N>(psi, kept + ((rows[j] * modes + m) * N + r) * N);
#pragma unroll
                for (int i = 0; i < 8; ++i) {
                    const Complex<Real> overlap = o[i] * v[i];
                    v[i] = overlap + (overlap - psi[i]);
                }
                transform<-1>(v, room, turns, t);
                store<Real, N>(v, waves + ((j * modes + m) * N + r) * N);
            }
        }
    }
}

// waves (images, n, n) = F^-1 waves along rows, in place. The grid is over (rows, images).
template <typename Real, int N>
__global__ void __launch_bounds__(256)
back_rows(Complex<Real>* waves, long long images)
{
    __shared__ Complex<Real> shared[rows_of_block<N>() * Room<Real, N, 1>::size];
    const Room<Real, N, 1> room = {shared + threadIdx.y * Room<Real, N, 1>::size};
    const int t = threadIdx.x;
    const Turns<Real, N> turns(t);

    for (long long k = blockIdx.y; k < images; k += gridDim.y) {
        for (int r = blockIdx.x * blockDim.y + threadIdx.y; r < N; r += gridDim.x * blockDim.y) {
            Complex<Real> v[8];
            load<Real, N>(v, waves + (k * N + r) * N);
            transform<1>(v, room, turns, t);
            store<Real, N>(v, waves + (k * N + r) * N);
        }
    }
}

// kept_jm = share kept_jm + (1 - share) illum_jm O_j + beta F^-1 waves_jm along rows; with a share of zero nothing kept
// is read
template <typename Real, int N>
__global__ void __launch_bounds__(256)
advance_rows(const Complex<Real>* __restrict__ obj, long long height, long long width,
             const long long* __restrict__ corners, const Complex<Real>* __restrict__ illum, long long illum_stride,
             const Complex<Real>* __restrict__ waves, const long long* __restrict__ rows, long long views,
             long long modes, Complex<Real>* kept, Real beta, Real share)
{
    __shared__ Complex<Real> shared[rows_of_block<N>() * Room<Real, N, 1>::size];
    const Room<Real, N, 1> room = {shared + threadIdx.y * Room<Real, N, 1>::size};
    const int t = threadIdx.x;
    const Turns<Real, N> turns(t);

    for (long long j = blockIdx.y; j < views; j += gridDim.y) {
        for (int r = blockIdx.x * blockDim.y + threadIdx.y; r < N; r += gridDim.x * blockDim.y) {
            Complex<Real> o[8];
            load_object<Real, N>(o, obj, height, width, corners[2 * j] + r, corners[2 * j + 1]);
            for (long long m = 0; m < modes; ++m) {
                Complex<Real> v[8];
                load<Real, N>(v, waves + ((j * modes + m) * N + r) * N);
                transform<1>(v, room, turns, t);
                Complex<Real> p[8];
                Complex<Real>* line = kept + ((rows[j] * modes + m) * N + r) * N;
                load<Real, N>(p, illum + j * illum_stride + (m * N + r) * N);
#pragma unroll
                for (int i = 0; i < 8; ++i) {
                    Complex<Real> anew = o[i] * p[i];
                    if (share != Real(0)) anew = scaled(anew, Real(1) - share) + scaled(line[t + i * (N / 8)], share);
                    v[i] = anew + scaled(v[i], beta);
                }
                store<Real, N>(v, line);
            }
        }
    }
}
