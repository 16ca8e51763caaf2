#include "common.cuh"

// The factor of a step along a direction: step / [a max(weight) + (1 - a) weight], a the regularisation. tiny keeps it
// finite where nothing weighs anything.
template <typename Real>
struct Step {
    Real ground, share, length, tiny;

    __device__ inline Step(double most, double regularisation, double step, Real tiny)
        : ground(static_cast<Real>(regularisation * most)),
          share(static_cast<Real>(1 - regularisation)),
          length(static_cast<Real>(step)),
          tiny(tiny)
    {
    }

    __device__ inline Real at(Real weight) const
    {
        const Real scale = ground + share * weight;
        return length / (scale > tiny ? scale : scale == scale ? tiny : scale);
    }
};
