// What a batch tells of its positions, before object and probe take their steps: sums over each view, and the windows
// whose shift is looked for.
//
// waves (rows of all views, modes, n, n), at `rows`: the difference d to what the data ask for; obj, light (height,
// width), light that of all views on the object; corners (views, 2); illum (views or 1, modes, n, n), illum_stride values
// from one view to the next, 0 where all share one. What is read outside the object is NaN.
// A pixel: S = sum_m |P_m|^2; a = sum_m conj(P_m) d_m, what the view asks of the object there; share, of the light on the
// object that other views shed. Where no grid is told: threads (32, 8), a grid over (columns, rows, views), of any size.

#include "common.cuh"

constexpr int numbers = 10;  // of a view, as `add_up_senses` leaves them, side by side in parts (views, 10, blocks)

template <typename Real>
struct Asked {
    Complex<Real> object, asked;
    Real power, share, squares;
};

template <typename Real>
__device__ inline Asked<Real> asked_at(const Complex<Real>* wave, const Complex<Real>* illum, long long modes,
                                       long long pixels, const Complex<Real>* obj, const Real* light, long long height,
                                       long long width, long long r, long long c)
{
    Asked<Real> here = {pixel_of(obj, height, width, r, c), {0, 0}, 0, 0, 0};
    for (long long m = 0; m < modes; ++m) {
        const Complex<Real> p = illum[m * pixels];
        const Complex<Real> d = wave[m * pixels];
        here.asked = here.asked + conj(p) * d;
        here.power += power(p);
        here.squares += power(d);
    }
    const bool inside = within(r, height) && within(c, width);
    const Real around = inside ? light[r * width + c] : static_cast<Real>(nan(""));
    const Real tiny = sizeof(Real) == 4 ? static_cast<Real>(1.17549435e-38) : static_cast<Real>(2.2250738585072014e-308);
    here.share = larger(around - here.power, Real(0)) / larger(around, tiny);
    return here;
}

// parts: per block, sum |d|^2, sum |a|^2, the largest S; and where Slopes, sum S |O|^2 and, with s the differences of the
// window across two pixels along rows (0) and columns (1), sums of S share s0 s0, S share s0 s1, S share s1 s1,
// share s0 a, share s1 a, where xy is Re conj(x) y. No differences at the rim of the window.
template <typename Real, bool Slopes>
__global__ void __launch_bounds__(256)
add_up_senses(const Complex<Real>* __restrict__ waves, const long long* __restrict__ rows,
              const Complex<Real>* __restrict__ obj, const Real* __restrict__ light, long long height, long long width,
              const long long* __restrict__ corners, const Complex<Real>* __restrict__ illum, long long illum_stride,
              long long views, long long modes, long long n, double* __restrict__ parts)
{
    const long long pixels = n * n;
    const long long count = static_cast<long long>(gridDim.x) * gridDim.y;
    const long long block = static_cast<long long>(blockIdx.y) * gridDim.x + blockIdx.x;

    for (long long j = blockIdx.z; j < views; j += gridDim.z) {
        double sums[numbers] = {};
        Real most = 0;
        const long long top = corners[2 * j];
        const long long left = corners[2 * j + 1];
        for (long long r = first_of(blockIdx.y, blockDim.y, threadIdx.y); r < n; r += stride_of(gridDim.y, blockDim.y)) {
            for (long long c = first_of(blockIdx.x, blockDim.x, threadIdx.x); c < n;
                 c += stride_of(gridDim.x, blockDim.x)) {
                const long long q = r * n + c;
                const Asked<Real> here = asked_at(waves + rows[j] * modes * pixels + q, illum + j * illum_stride + q, modes,
                                                  pixels, obj, light, height, width, top + r, left + c);
                sums[0] += here.squares;
                sums[1] += power(here.asked);
                most = here.power > most ? here.power : most;
                if constexpr (Slopes) {
                    const Complex<Real> none = {0, 0};
                    const bool along_rows = r > 0 && r < n - 1;
                    const bool along_columns = c > 0 && c < n - 1;
                    const Complex<Real> s0 = along_rows ? pixel_of(obj, height, width, top + r + 1, left + c) -
                                                              pixel_of(obj, height, width, top + r - 1, left + c)
                                                        : none;
                    const Complex<Real> s1 = along_columns ? pixel_of(obj, height, width, top + r, left + c + 1) -
                                                                 pixel_of(obj, height, width, top + r, left + c - 1)
                                                           : none;
                    const Complex<Real> asked = scaled(here.asked, here.share);
                    const Real weight = here.power * here.share;
                    sums[3] += here.power * power(here.object);
                    sums[4] += weight * power(s0);
                    sums[5] += weight * overlap(s0, s1);
                    sums[6] += weight * power(s1);
                    sums[7] += overlap(s0, asked);
                    sums[8] += overlap(s1, asked);
                }
            }
        }
        const Real largest = block_max(most);
        if (thread_of_block() == 0) parts[(numbers * j + 2) * count + block] = largest;
        for (int k = 0; k < (Slopes ? 9 : 2); ++k) {
            if (k == 2) continue;
            const double sum = block_sum(sums[k]);
            if (thread_of_block() == 0) parts[(numbers * j + k) * count + block] = sum;
            __syncthreads();  // the next sum may use block_sum's memory from here on
        }
    }
}

// Of parts (views, 10, count), at the rows `index` of arrays of all views: misfit = sum |d|^2, change = sum |a|^2,
// most = the largest S; and where Slopes, sensed (N, 7) = the products of s0 with S share s0, S share s1, share a, those
// of s1, and sum S |O|^2. Launch with 32 threads and a grid over the views, of any size.
template <typename Sum, bool Slopes>
__global__ void __launch_bounds__(256)
keep_senses(const Sum* __restrict__ parts, long long views, long long count, const long long* __restrict__ index,
            Sum* __restrict__ misfit, Sum* __restrict__ change, Sum* __restrict__ most, Sum* __restrict__ sensed)
{
    for (long long j = blockIdx.x; j < views; j += gridDim.x) {
        double total[numbers] = {};
        for (int k = 0; k < (Slopes ? 9 : 3); ++k) {
            double sum = 0.0;
            double largest = 0.0;
            for (long long i = threadIdx.x; i < count; i += blockDim.x) {
                const double part = parts[(numbers * j + k) * count + i];
                sum += part;
                largest = part > largest ? part : largest;
            }
            sum = block_sum(sum);
            __syncthreads();  // the next sum may use block_sum's memory from here on
            largest = block_max(largest);
            total[k] = k == 2 ? largest : sum;
        }
        if (threadIdx.x != 0) continue;
        const long long row = index[j];
        misfit[row] = total[0];
        change[row] = total[1];
        most[row] = total[2];
        if constexpr (Slopes) {
            const double found[7] = {total[4], total[5], total[7], total[5], total[6], total[8], total[3]};
            for (int k = 0; k < 7; ++k) sensed[7 * row + k] = found[k];
        }
    }
}

// images (views, 2, n, n): the window as it is, and as the view asks for it, O + share a / max S. most (N,) at `index`.
template <typename Real>
__global__ void __launch_bounds__(256)
windows_asked_for(const Complex<Real>* __restrict__ waves, const long long* __restrict__ rows,
                  const Complex<Real>* __restrict__ obj, const Real* __restrict__ light, long long height,
                  long long width, const long long* __restrict__ corners, const Complex<Real>* __restrict__ illum,
                  long long illum_stride, long long views, long long modes, long long n,
                  const long long* __restrict__ index, const double* __restrict__ most, Complex<Real>* __restrict__ images)
{
    const long long pixels = n * n;
    over_pixels(views, n, [&](long long j, long long r, long long c) {
        const long long top = corners[2 * j];
        const long long left = corners[2 * j + 1];
        const Real scale = static_cast<Real>(1 / most[index[j]]);
        const long long q = r * n + c;
        const Asked<Real> here = asked_at(waves + rows[j] * modes * pixels + q, illum + j * illum_stride + q, modes,
                                          pixels, obj, light, height, width, top + r, left + c);
        images[2 * j * pixels + q] = here.object;
        images[(2 * j + 1) * pixels + q] = here.object + scaled(here.asked, here.share * scale);
    });
}
