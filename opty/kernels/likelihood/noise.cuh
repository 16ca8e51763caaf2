#include "common.cuh"

// The likelihoods of a pixel: L = -log likelihood by `noise`, with the formulae and the care for digits of meaning.py;
// for Poisson too_dark says where its curve goes on as a straight line, below I / too_dark.

enum Noise { poisson, gaussian, amplitude };  // the numbers of noise.py

// L of a pixel and dL/dIhat.
template <typename Real>
struct Fit {
    Real value, slope;
};

template <typename Real>
__device__ inline Fit<Real> fit_of(Real predicted, Real measured, Real step, int noise, Real too_dark)
{
    const Real excess = predicted - measured;
    if (noise == poisson) {
        const Real lit = measured > 0 ? measured : Real(1);
        // log1p keeps the digits of a close fit; where hardly any light is predicted it would lose them all.
        const Real logarithm = 2 * predicted < measured ? log(predicted / lit) : log1p(excess / lit);
        const Real least = larger(predicted, measured / too_dark);
        return {excess - measured * logarithm, (least - measured) / least};
    }
    if (noise == gaussian) {
        const Real share = excess / (measured + 1);
        return {share * excess, 2 * share};
    }
    return {4 * step * step, -4 * step / sqrt(predicted)};
}

// L(Ihat + more) - L(Ihat) of a pixel.
template <typename Real>
__device__ inline Real change_of(Real predicted, Real measured, Real more, int noise, Real floor, Real too_dark)
{
    if (noise == poisson) {
        const Real dark = larger(measured / too_dark, floor);
        // What of the change lies on the curve; Ihat + more would round away the last steps of a close fit.
        const Real gap = dark - predicted;
        const Real gain = larger(more, gap) - larger(gap, Real(0));
        return gain - measured * log1p(gain / larger(predicted, dark)) + (1 - too_dark) * (more - gain);
    }
    if (noise == gaussian) return more * (more + 2 * (predicted - measured)) / (measured + 1);
    return 4 * more * (1 - 2 * sqrt(measured) / (sqrt(predicted) + sqrt(predicted + more)));
}

// |a + t b + t^2 c|^2 as a polynomial in t, summed over modes.
template <typename Real>
struct Powers {
    Real of_0, of_1, of_2, of_3, of_4;

    __device__ inline void add(Complex<Real> a, Complex<Real> b, Complex<Real> c)
    {
        of_0 += power(a);
        of_1 += 2 * overlap(a, b);
        of_2 += power(b) + 2 * overlap(a, c);
        of_3 += 2 * overlap(b, c);
        of_4 += power(c);
    }

    // What it is at t beyond what it is at 0.
    __device__ inline Real beyond(Real t) const { return t * (of_1 + t * (of_2 + t * (of_3 + t * of_4))); }
};
