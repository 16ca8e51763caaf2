#include "common.cuh"
#include "likelihood/noise.cuh"

// What a step does to the detector waves of a pixel, between two transforms: the factor by which it multiplies them.
//
// total = sum_m |Psi_m|^2 as a transform leaves it, which a scale brings to photons; light: the background; squares +=
// (sqrt I - sqrt Ihat)^2, the misfit; value += what a view adds up beside it. `masked` is the factor where the detector
// did not count. `unitary` puts in what makes transforms unitary that are not, for `Slope` its factor has it already.

// The measured modulus: Psi sqrt(I / Ihat), or where `keep` is 0 that minus Psi.
template <typename Real>
struct Modulus {
    static constexpr bool has_values = false;
    Real keep, floor, power_scale, wave_scale;

    __device__ inline Real masked() const { return keep; }
    __device__ inline Real unitary(Real factor) const { return factor * wave_scale; }
    __device__ static inline Real& sum(double&, Real& squares) { return squares; }

    template <typename Sum>
    __device__ inline Real factor(Real total, Real light, Real measured, Sum& squares, double&) const
    {
        const Real amplitude = sqrt(total * power_scale + light);
        const Real step = sqrt(measured) - amplitude;
        squares += static_cast<Sum>(step) * static_cast<Sum>(step);
        return keep + step / (amplitude > floor ? amplitude : floor);
    }
};

// The slope dL/dIhat of L = -log likelihood by `noise`; value += L.
template <typename Real>
struct Slope {
    static constexpr bool has_values = true;
    int noise;
    Real floor, scale;

    __device__ inline Real masked() const { return 0; }
    __device__ inline Real unitary(Real factor) const { return factor; }
    __device__ static inline double& sum(double& misfit, Real&) { return misfit; }

    template <typename Sum>
    __device__ inline Real factor(Real total, Real light, Real measured, Sum& squares, double& value) const
    {
        const Real predicted = larger(total * scale + light, floor);
        const Real step = sqrt(measured) - sqrt(predicted);
        const Fit<Real> fit = fit_of(predicted, measured, noise);
        squares += static_cast<Sum>(step) * static_cast<Sum>(step);
        value += fit.value;
        return fit.slope * scale;
    }
};

// The changes of L at trial steps t (3,), from the powers of t in Ihat. epsilon is the distance from 1 to the next
// number.
template <typename Real>
struct Changes {
    int noise;
    Real floor, scale, epsilon;

    __device__ inline void add(const Powers<Real>& powers, const Real* trials, Real light, Real measured,
                               double* sums) const
    {
        const Real predicted = larger(powers.of_0 * scale + light, floor);
        const Real least = predicted * (epsilon - 1);  // rounding can make no intensity negative
        for (int k = 0; k < 3; ++k) {
            const Real more = larger(scale * powers.beyond(trials[k]), least);
            sums[k] += change_of(predicted, measured, more, noise);
        }
    }
};

// Which pixels count, and what light there is beside the waves': mask null, or with mask_stride values from one row to the
// next, 0 where all views share one; background (pixels) or null. All are arguments of the kernel, which take no register.
template <typename Real>
struct Pixels {
    const bool* mask;
    long long mask_stride;
    const Real* background;

    __device__ inline bool count(long long row, long long q) const
    {
        return mask == nullptr || mask[row * mask_stride + q];
    }
    __device__ inline Real light(long long q) const { return background == nullptr ? Real(0) : background[q]; }
};
