// Exit waves of a batch and the transforms along their rows, in one pass over the waves: formed, or formed and reflected
// at kept ones, and transformed forward; transformed back, and what comes next where that is a matter of one pixel.
//
// Arrays and their arguments as in exit_waves/exit_waves.cu; N = n. What a window takes from outside the object is NaN.
// Launch with threads (N / 8, rows of a block), a multiple of 32 and 256 at most, and a grid over (rows, views), of any
// size.

#include "common.cuh"
#include "fft/row.cuh"
#include "exit_waves/reflected.cuh"
#include "update/step.cuh"

// waves_jm = F illum_jm O_j along rows. Where Largest, partial has a value per block, the largest of sum_m |illum_jm|^2
// in what the block looked at, and after these as many of |O_j|^2.
template <typename Real, int N, bool Largest>
__global__ void __launch_bounds__(256, 3)
form_rows(const Complex<Real>* __restrict__ obj, long long height, long long width,
          const long long* __restrict__ corners, const Complex<Real>* __restrict__ illum, long long illum_stride,
          long long views, long long modes, Complex<Real>* __restrict__ waves, double* __restrict__ partial)
{
    __shared__ RowRoom<Real, N> shared;
    const Room<Real, N, 1> room = shared.mine();
    const Turns<Real, N> turns(threadIdx.x);
    Real most_light = 0;
    Real most_seen = 0;

    over_rows<N>(views, [&](long long j, int r) {
        Real light[8] = {};
        const Complex<Real>* seen = illum + j * illum_stride + r * N;
        Complex<Real>* line = waves + j * modes * (N * N) + r * N;
#pragma unroll 1
        for (int m = 0; m < modes; ++m, seen += N * N, line += N * N) {
            Complex<Real> v[8];
            Complex<Real> o[8];
            load<Real, N>(v, seen);
            load_object<Real, N>(o, obj, height, width, corners[2 * j], corners[2 * j + 1], r);
#pragma unroll
            for (int i = 0; i < 8; ++i) {
                if constexpr (Largest) {
                    light[i] += power(v[i]);
                    most_light = light[i] > most_light ? light[i] : most_light;
                    most_seen = power(o[i]) > most_seen ? power(o[i]) : most_seen;
                }
                v[i] = o[i] * v[i];
            }
            transform<-1>(v, room, turns, threadIdx.x);
            store<Real, N>(v, line);
        }
    });
    if constexpr (Largest) {
        const Real light = block_max(most_light);
        const Real seen = block_max(most_seen);
        if (thread_of_block() == 0) {
            const long long block = static_cast<long long>(blockIdx.y) * gridDim.x + blockIdx.x;
            partial[block] = light;
            partial[static_cast<long long>(gridDim.x) * gridDim.y + block] = seen;
        }
    }
}

// waves_jm = F (2 illum_jm O_j - kept_jm) along rows
template <typename Real, int N>
__global__ void __launch_bounds__(256, 3)
reflect_rows(const Complex<Real>* __restrict__ obj, long long height, long long width,
             const long long* __restrict__ corners, const Complex<Real>* __restrict__ illum, long long illum_stride,
             const Complex<Real>* __restrict__ kept, const long long* __restrict__ rows, long long views,
             long long modes, Complex<Real>* __restrict__ waves)
{
    __shared__ RowRoom<Real, N> shared;
    const Room<Real, N, 1> room = shared.mine();
    const Turns<Real, N> turns(threadIdx.x);

    over_rows<N>(views, [&](long long j, int r) {
        const Complex<Real>* seen = illum + j * illum_stride + r * N;
        const Complex<Real>* before = kept + rows[j] * modes * (N * N) + r * N;
        Complex<Real>* line = waves + j * modes * (N * N) + r * N;
#pragma unroll 1
        for (int m = 0; m < modes; ++m, seen += N * N, before += N * N, line += N * N) {
            Complex<Real> v[8];
            Complex<Real> psi[8];
            Complex<Real> o[8];
            load<Real, N>(psi, before);
            load<Real, N>(v, seen);
            load_object<Real, N>(o, obj, height, width, corners[2 * j], corners[2 * j + 1], r);
#pragma unroll
            for (int i = 0; i < 8; ++i) v[i] = reflected(o[i] * v[i], psi[i]);
            transform<-1>(v, room, turns, threadIdx.x);
            store<Real, N>(v, line);
        }
    });
}

// waves (images, n, n) = F^-1 waves along rows, in place. The grid is over (rows, images).
template <typename Real, int N>
__global__ void __launch_bounds__(256, 3)
back_rows(Complex<Real>* waves, long long images)
{
    __shared__ RowRoom<Real, N> shared;
    const Room<Real, N, 1> room = shared.mine();
    const Turns<Real, N> turns(threadIdx.x);

    over_rows<N>(images, [&](long long k, int r) {
        Complex<Real> v[8];
        Complex<Real>* line = waves + k * (N * N) + r * N;
        load<Real, N>(v, line);
        transform<1>(v, room, turns, threadIdx.x);
        store<Real, N>(v, line);
    });
}

// The same, and probe_sum_m += conj(O_j) waves_jm, probe_weight += |O_j|^2: a thread adds up its pixels over a slice of
// the views, in registers. The grid is over (rows, slices of the views, modes), the last of them in full.
template <typename Real, int N>
__global__ void __launch_bounds__(256, 2)
back_rows_to_probe(Complex<Real>* waves, const Complex<Real>* __restrict__ obj, long long height, long long width,
                   const long long* __restrict__ corners, long long views, long long modes, Complex<Real>* probe_sum,
                   Real* probe_weight)
{
    __shared__ RowRoom<Real, N> shared;
    const Room<Real, N, 1> room = shared.mine();
    const Turns<Real, N> turns(threadIdx.x);
    const long long m = blockIdx.z;

#pragma unroll 1
    for (int r = blockIdx.x * blockDim.y + threadIdx.y; r < N; r += gridDim.x * blockDim.y) {
        Complex<Real> sum[8] = {};
        Real weight[8] = {};
#pragma unroll 1
        for (long long j = blockIdx.y; j < views; j += gridDim.y) {
            Complex<Real> v[8];
            Complex<Real> o[8];
            Complex<Real>* line = waves + (j * modes + m) * (N * N) + r * N;
            load<Real, N>(v, line);
            load_object<Real, N>(o, obj, height, width, corners[2 * j], corners[2 * j + 1], r);
            transform<1>(v, room, turns, threadIdx.x);
            store<Real, N>(v, line);
#pragma unroll
            for (int i = 0; i < 8; ++i) {
                sum[i] = sum[i] + conj(o[i]) * v[i];
                weight[i] += power(o[i]);
            }
        }
#pragma unroll
        for (int i = 0; i < 8; ++i) {
            const int q = r * N + threadIdx.x + i * (N / 8);
            add_atomically(&probe_sum[m * (N * N) + q], sum[i]);
            if (m == 0) atomicAdd(&probe_weight[q], weight[i]);
        }
    }
}

// kept_jm = share kept_jm + (1 - share) illum_jm O_j + beta F^-1 waves_jm along rows; with a share of zero nothing kept
// is read
template <typename Real, int N>
__global__ void __launch_bounds__(256, 3)
advance_rows(const Complex<Real>* __restrict__ obj, long long height, long long width,
             const long long* __restrict__ corners, const Complex<Real>* __restrict__ illum, long long illum_stride,
             const Complex<Real>* __restrict__ waves, const long long* __restrict__ rows, long long views,
             long long modes, Complex<Real>* kept, Real beta, Real share)
{
    __shared__ RowRoom<Real, N> shared;
    const Room<Real, N, 1> room = shared.mine();
    const Turns<Real, N> turns(threadIdx.x);

    over_rows<N>(views, [&](long long j, int r) {
        const Complex<Real>* seen = illum + j * illum_stride + r * N;
        const Complex<Real>* line = waves + j * modes * (N * N) + r * N;
        Complex<Real>* into = kept + rows[j] * modes * (N * N) + r * N;
#pragma unroll 1
        for (int m = 0; m < modes; ++m, seen += N * N, line += N * N, into += N * N) {
            Complex<Real> v[8];
            Complex<Real> p[8];
            Complex<Real> o[8];
            load<Real, N>(v, line);
            transform<1>(v, room, turns, threadIdx.x);
            load_object<Real, N>(o, obj, height, width, corners[2 * j], corners[2 * j + 1], r);
            load<Real, N>(p, seen);
#pragma unroll
            for (int i = 0; i < 8; ++i) v[i] = scaled(o[i] * p[i], Real(1) - share) + scaled(v[i], beta);
            if (share != Real(0)) {
                load<Real, N>(p, into);
#pragma unroll
                for (int i = 0; i < 8; ++i) v[i] = v[i] + scaled(p[i], share);
            }
            store<Real, N>(v, into);
        }
    });
}

// w_m = F^-1 waves_m along rows (modes, n, n) of one view, and the steps of update_both in update/update.cu along them. partial
// as form_rows leaves it. The grid is over rows.
template <typename Real, int N>
__global__ void __launch_bounds__(256, 2)
update_rows(Complex<Real>* obj, long long height, long long width, const long long* __restrict__ corners,
            Complex<Real>* probe, const Complex<Real>* __restrict__ waves, long long modes,
            const double* __restrict__ partial, long long partials, double alpha, double obj_step, double beta,
            double probe_step, Real tiny)
{
    __shared__ RowRoom<Real, N> shared;
    const Room<Real, N, 1> room = shared.mine();
    const Turns<Real, N> turns(threadIdx.x);
    const Step<Real> of_obj(largest_of(partial, partials), alpha, obj_step, tiny);
    const Step<Real> of_probe(largest_of(partial + partials, partials), beta, probe_step, tiny);
    const long long top = corners[0];
    const long long left = corners[1];

#pragma unroll 1
    for (int r = blockIdx.x * blockDim.y + threadIdx.y; r < N; r += gridDim.x * blockDim.y) {
        Complex<Real> o[8];
        BothSteps<Real> both[8] = {};
        load_object<Real, N>(o, obj, height, width, top, left, r);
#pragma unroll 1
        for (int m = 0; m < modes; ++m) {
            Complex<Real> v[8];
            Complex<Real> p[8];
            load<Real, N>(v, waves + m * (N * N) + r * N);
            load<Real, N>(p, probe + m * (N * N) + r * N);
            transform<1>(v, room, turns, threadIdx.x);
#pragma unroll
            for (int i = 0; i < 8; ++i) p[i] = both[i].probe(o[i], p[i], v[i], of_probe.at(power(o[i])));
            if (probe_step != 0) store<Real, N>(p, probe + m * (N * N) + r * N);
        }
        if (obj_step == 0 || !within(top + r, height)) continue;
#pragma unroll
        for (int i = 0; i < 8; ++i) {
            const long long column = left + threadIdx.x + i * (N / 8);
            if (!within(column, width)) continue;
            obj[(top + r) * width + column] = both[i].object(o[i], of_obj);
        }
    }
}

// waves (3, views, modes, n, n) = F of P O, P dO + dP O, dP dO along rows: see exit_waves/exit_waves.cu.
template <typename Real, int N>
__global__ void __launch_bounds__(256, 2)
along_rows(const Complex<Real>* __restrict__ obj, const Complex<Real>* __restrict__ obj_step, long long height,
           long long width, const long long* __restrict__ corners, const Complex<Real>* __restrict__ illum,
           long long illum_stride, const Complex<Real>* __restrict__ illum_step, long long step_stride, long long views,
           long long modes, Complex<Real>* __restrict__ waves)
{
    __shared__ RowRoom<Real, N> shared;
    const Room<Real, N, 1> room = shared.mine();
    const Turns<Real, N> turns(threadIdx.x);
    const long long apart = views * modes * (N * N);

    over_rows<N>(views, [&](long long j, int r) {
        Complex<Real> o[8];
        Complex<Real> d[8];
        load_object<Real, N>(o, obj, height, width, corners[2 * j], corners[2 * j + 1], r);
        load_object<Real, N>(d, obj_step, height, width, corners[2 * j], corners[2 * j + 1], r);
#pragma unroll 1
        for (int m = 0; m < modes; ++m) {
            Complex<Real> p[8];
            Complex<Real> e[8];
            Complex<Real> v[8];
            Complex<Real>* line = waves + (j * modes + m) * (N * N) + r * N;
            load<Real, N>(p, illum + j * illum_stride + (m * N + r) * N);
            load<Real, N>(e, illum_step + j * step_stride + (m * N + r) * N);
#pragma unroll
            for (int i = 0; i < 8; ++i) v[i] = p[i] * o[i];
            transform<-1>(v, room, turns, threadIdx.x);
            store<Real, N>(v, line);
#pragma unroll
            for (int i = 0; i < 8; ++i) v[i] = p[i] * d[i] + e[i] * o[i];
            transform<-1>(v, room, turns, threadIdx.x);
            store<Real, N>(v, line + apart);
#pragma unroll
            for (int i = 0; i < 8; ++i) v[i] = e[i] * d[i];
            transform<-1>(v, room, turns, threadIdx.x);
            store<Real, N>(v, line + 2 * apart);
        }
    });
}
