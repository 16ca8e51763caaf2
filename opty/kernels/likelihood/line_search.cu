// The search along a line: the best step by what the trials on it changed.

#include "common.cuh"

// slope x + x^2 q(x), where q is the polynomial (by Lagrange) for which that is changes_k at each trial u_k that is near.
template <typename Real>
__device__ inline Real curve_at(Real x, Real slope, const Real* changes, const Real* u, const bool* near)
{
    Real q = 0;
    for (int k = 0; k < 3; ++k) {
        if (!near[k]) continue;
        Real share = (changes[k] - slope * u[k]) / (u[k] * u[k]);
        for (int j = 0; j < 3; ++j) {
            if (j != k && near[j]) share *= (x - u[j]) / (u[k] - u[j]);
        }
        q += share;
    }
    return x * (slope + x * q);
}

// step (1): where the curve with this slope (1) at zero through the changes (3) at the trials is lowest, of `points`
// between the neighbours of the best trial, without the left one; of equals the first. 0 where no trial leads down.
// Trials that rise by `wall` times what the best one falls do not count, nor do those that are NaN.
// Launch with one block of 256 threads.
template <typename Real>
__global__ void __launch_bounds__(256)
best_step(const Real* __restrict__ slope, const Real* __restrict__ changes, Real first, Real second, Real third,
          Real wall, int points, Real* __restrict__ step)
{
    __shared__ Real lowest[256];
    __shared__ int found[256];
    const int thread = static_cast<int>(threadIdx.x);
    const Real u[3] = {first, second, third};

    int best = 0;
    for (int k = 1; k < 3; ++k) {
        if (changes[k] < changes[best] || changes[best] != changes[best]) best = k;
    }
    const Real least = changes[best];
    bool near[3];
    for (int k = 0; k < 3; ++k) near[k] = changes[k] < wall * -least;
    const Real left = best > 0 ? u[best - 1] : 0;
    const Real right = best < 2 && near[best + 1] ? u[best + 1] : u[best];
    const Real apart = (right - left) / (points - 1);

    // A curve that is NaN everywhere is followed to its first point: no comparison moves on from there.
    found[thread] = thread + 1;
    lowest[thread] = curve_at(left + (thread + 1) * apart, *slope, changes, u, near);
    for (int k = thread + 257; k < points; k += 256) {
        const Real value = curve_at(left + k * apart, *slope, changes, u, near);
        if (value < lowest[thread]) {
            found[thread] = k;
            lowest[thread] = value;
        }
    }
    for (int half = 128; half > 0; half /= 2) {
        __syncthreads();
        if (thread >= half) continue;
        const Real other = lowest[thread + half];
        if (other < lowest[thread] || (other == lowest[thread] && found[thread + half] < found[thread])) {
            found[thread] = found[thread + half];
            lowest[thread] = other;
        }
    }
    if (thread == 0) step[0] = !(least < 0) ? 0 : found[0] == points - 1 ? right : left + found[0] * apart;
}
