#include "common.cuh"

// Fourier transforms within a block: eight values a thread, in registers, exchanged through shared memory.
//
// T = N / 8 threads share N values, N a power of two from 32 on: thread t holds those at t, t + T, ..., t + 7 T, before
// and after. Stages of radix 8, and a last one of what is left (Stockham's scheme as in Govindaraju et al., SC 2008).
// The sums are left as they are: there and back waves grow by N. Sign: -1 forward, 1 inverse.

// exp(Sign 2 pi i / 4) a
template <int Sign, typename Real>
__device__ inline Complex<Real> quarter_turn(Complex<Real> a)
{
    return {-Sign * a.im, Sign * a.re};
}

// exp(Sign 2 pi i / 8) a
template <int Sign, typename Real>
__device__ inline Complex<Real> eighth_turn(Complex<Real> a)
{
    constexpr Real root = static_cast<Real>(0.70710678118654752440);
    return {root * (a.re - Sign * a.im), root * (a.im + Sign * a.re)};
}

// exp(Sign 2 pi i K / 8) a
template <int Sign, int K, typename Real>
__device__ inline Complex<Real> eighth_turns(Complex<Real> a)
{
    if constexpr (K % 2 == 1) a = eighth_turn<Sign>(a);
    if constexpr (K / 2 % 2 == 1) a = quarter_turn<Sign>(a);
    return a;
}

// The transform of R values that stand Apart registers apart.
template <int R, int Apart, int Sign, typename Real>
__device__ inline void butterfly(Complex<Real>* v)
{
    if constexpr (R == 2) {
        const Complex<Real> a = v[0];
        const Complex<Real> b = v[Apart];
        v[0] = a + b;
        v[Apart] = a - b;
    } else if constexpr (R == 4) {
        const Complex<Real> a = v[0] + v[2 * Apart];
        const Complex<Real> b = v[0] - v[2 * Apart];
        const Complex<Real> c = v[Apart] + v[3 * Apart];
        const Complex<Real> d = quarter_turn<Sign>(v[Apart] - v[3 * Apart]);
        v[0] = a + c;
        v[Apart] = b + d;
        v[2 * Apart] = a - c;
        v[3 * Apart] = b - d;
    } else {
        butterfly<4, 2, Sign>(v);
        butterfly<4, 2, Sign>(v + 1);
        const Complex<Real> even[4] = {v[0], v[2], v[4], v[6]};
        const Complex<Real> odd[4] = {v[1], eighth_turns<Sign, 1>(v[3]), eighth_turns<Sign, 2>(v[5]),
                                      eighth_turns<Sign, 3>(v[7])};
#pragma unroll
        for (int k = 0; k < 4; ++k) {
            v[k] = even[k] + odd[k];
            v[k + 4] = even[k] - odd[k];
        }
    }
}

// v_i *= w^i for i < R, the v_i Apart registers apart.
template <int R, int Apart, typename Real>
__device__ inline void turn_by_powers(Complex<Real>* v, Complex<Real> w)
{
    v[Apart] = v[Apart] * w;
    if constexpr (R > 2) {
        const Complex<Real> w2 = w * w;
        const Complex<Real> w3 = w2 * w;
        v[2 * Apart] = v[2 * Apart] * w2;
        v[3 * Apart] = v[3 * Apart] * w3;
        if constexpr (R > 4) {
            const Complex<Real> w4 = w2 * w2;
            v[4 * Apart] = v[4 * Apart] * w4;
            v[5 * Apart] = v[5 * Apart] * (w4 * w);
            v[6 * Apart] = v[6 * Apart] * (w3 * w3);
            v[7 * Apart] = v[7 * Apart] * (w4 * w3);
        }
    }
}

// What a thread turns by before each stage but the first, for the inverse: of the stages that begin with transforms of
// 8, 64 and 512 values done.
template <typename Real, int N>
struct Turns {
    Complex<Real> of_stage[3];

    __device__ inline explicit Turns(int t) : of_stage{before<8>(t), before<64>(t), before<512>(t)} {}

    template <int Done>
    __device__ static inline Complex<Real> before(int t)
    {
        if constexpr (Done >= N) return {1, 0};
        constexpr int next = Done * 8 < N ? Done * 8 : N;
        return phase_of(static_cast<Real>(t % Done) / next);
    }
};

// Shared memory of one transform: a column of a block's, or a row, with gaps that keep its threads off each other's
// banks. Threads of a transform within one warp need to wait for no more than that.
template <typename Real, int N, int Pitch>
struct Room {
    static constexpr int size = Pitch == 1 ? N + N / 8 : N * Pitch;  // Pitch > 1: columns side by side, and a gap
    Complex<Real>* values;

    __device__ inline Complex<Real>& operator[](int i) const
    {
        return values[Pitch == 1 ? i + i / 8 : i * Pitch];
    }

    __device__ inline void wait() const
    {
        if constexpr (Pitch == 1 && N <= 256)
            __syncwarp();
        else
            __syncthreads();
    }
};

template <int Sign, typename Real, int N, int Pitch, int Done = 1>
__device__ inline void transform(Complex<Real>* v, const Room<Real, N, Pitch> room, const Turns<Real, N>& turns, int t)
{
    constexpr int R = N / Done < 8 ? N / Done : 8;
    constexpr int apart = 8 / R;
    if constexpr (Done > 1) {
        const Complex<Real> back = turns.of_stage[Done == 8 ? 0 : Done == 64 ? 1 : 2];
        const Complex<Real> w = Sign < 0 ? conj(back) : back;
        turn_by_powers<R, apart>(v, w);
        if constexpr (apart > 1) turn_by_powers<R, apart>(v + 1, eighth_turns<Sign, 1>(w));
        if constexpr (apart > 2) {
            turn_by_powers<R, apart>(v + 2, eighth_turns<Sign, 2>(w));
            turn_by_powers<R, apart>(v + 3, eighth_turns<Sign, 3>(w));
        }
    }
#pragma unroll
    for (int k = 0; k < apart; ++k) butterfly<R, apart, Sign>(v + k);
    if constexpr (Done * R < N) {
        const int first = t / Done * (Done * R) + t % Done;
        room.wait();
#pragma unroll
        for (int i = 0; i < 8; ++i) room[first + i * Done] = v[i];
        room.wait();
#pragma unroll
        for (int i = 0; i < 8; ++i) v[i] = room[t + i * (N / 8)];
        transform<Sign, Real, N, Pitch, Done * R>(v, room, turns, t);
    }
}
