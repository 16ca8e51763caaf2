#include "common.cuh"

// log(Ihat / I), and log Ihat where I = 0.
template <typename Real>
__device__ inline Real log_ratio(Real predicted, Real measured)
{
    const Real lit = measured > 0 ? measured : Real(1);
    // log1p keeps the digits of a close fit; where hardly any light is predicted it would lose them all.
    return 2 * predicted < measured ? log(predicted / lit) : log1p((predicted - measured) / lit);
}

// The models, L = -log likelihood of a pixel by `noise`: written from noise.py by noise_writers.py.
#include "likelihood/models.cuh"

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
