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

// The steps of object and probe at one pixel of a view, mode after mode: O along sum_m conj(P_m) w_m, P_m along conj(O) w_m.
template <typename Real>
struct BothSteps {
    Complex<Real> back;
    Real light;

    // P_m after its step, with the factor `on_probe`.
    __device__ inline Complex<Real> probe(Complex<Real> o, Complex<Real> p, Complex<Real> w, Real on_probe)
    {
        back = back + conj(p) * w;
        light += power(p);
        return p + scaled(conj(o) * w, on_probe);
    }

    // O after its step, when all modes have been added.
    __device__ inline Complex<Real> object(Complex<Real> o, const Step<Real>& step) const
    {
        return o + scaled(back, step.at(light));
    }
};
