#include "common.cuh"

// 2 psi - kept of a value of exit waves psi
template <typename Real>
__device__ inline Complex<Real> reflected(Complex<Real> psi, Complex<Real> kept)
{
    return psi + (psi - kept);
}
