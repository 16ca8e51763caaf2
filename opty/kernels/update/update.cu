// Steps of object and probe along what their sums say, and both at once along the residual of one view.
//
// A step is divided by a regularised weight, [a max(weight) + (1 - a) weight]: one launch finds the largest weight,
// block by block, and the next one reads these partial results, at most a block of them, before it steps. Nothing is
// asked for on the host, and a largest value is the same bits in whatever order it is found.
// Launch with 256 threads, in the shape that is told with each kernel, and a grid of any size.

#include "common.cuh"
#include "update/step.cuh"

// partial: per block, the largest of weight (pixels). Threads and grid have one dimension.
template <typename Real>
__global__ void __launch_bounds__(256)
largest(const Real* __restrict__ weight, long long pixels, double* __restrict__ partial)
{
    double most = 0.0;
    for (long long q = first_of(blockIdx.x, blockDim.x, threadIdx.x); q < pixels; q += stride_of(gridDim.x, blockDim.x)) {
        const double here = weight[q];
        most = here > most ? here : most;
    }
    most = block_max(most);
    if (threadIdx.x == 0) partial[blockIdx.x] = most;
}

// target += step direction / [a max(weight) + (1 - a) weight]; direction (layers, pixels) and weight (pixels) become 0.
// Where both are 0 already nothing is written: a batch reaches a small part of the object. Threads and grid have one
// dimension.
template <typename Real>
__global__ void __launch_bounds__(256)
add_scaled(Complex<Real>* target, Complex<Real>* direction, Real* weight, long long layers, long long pixels,
           const double* __restrict__ partial, long long partials, double regularisation, double step, Real tiny)
{
    const Step<Real> along_it(largest_of(partial, partials), regularisation, step, tiny);
    for (long long q = first_of(blockIdx.x, blockDim.x, threadIdx.x); q < pixels; q += stride_of(gridDim.x, blockDim.x)) {
        const Real here = weight[q];
        const Real factor = along_it.at(here);
        for (long long k = 0; k < layers; ++k) {
            const Complex<Real> along = direction[k * pixels + q];
            if (along.re == 0 && along.im == 0) continue;
            target[k * pixels + q] = target[k * pixels + q] + scaled(along, factor);
            direction[k * pixels + q] = {0, 0};
        }
        if (here != 0) weight[q] = 0;
    }
}

// direction (layers, pixels) /= a max(weight) + (1 - a) weight, weight (pixels) as it is. Threads and grid have one
// dimension.
template <typename Real>
__global__ void __launch_bounds__(256)
divide(Complex<Real>* direction, const Real* __restrict__ weight, long long layers, long long pixels,
       const double* __restrict__ partial, long long partials, double regularisation, Real tiny)
{
    const Step<Real> along_it(largest_of(partial, partials), regularisation, 1.0, tiny);
    for (long long q = first_of(blockIdx.x, blockDim.x, threadIdx.x); q < pixels; q += stride_of(gridDim.x, blockDim.x)) {
        const Real factor = along_it.at(weight[q]);
        for (long long k = 0; k < layers; ++k) {
            const Complex<Real> along = direction[k * pixels + q];
            if (along.re == 0 && along.im == 0) continue;
            direction[k * pixels + q] = scaled(along, factor);
        }
    }
}

// old = (total + c held) / (weight + c), c = inertia max(weight), and as it is where that is 0 / 0. old, total, held
// (layers, pixels), weight (pixels); held may be old. Threads and grid have one dimension.
template <typename Real>
__global__ void __launch_bounds__(256)
merge(Complex<Real>* old, const Complex<Real>* __restrict__ total, const Real* __restrict__ weight,
      const Complex<Real>* held, long long layers, long long pixels, const double* __restrict__ partial,
      long long partials, double inertia)
{
    const Real ground = static_cast<Real>(inertia * largest_of(partial, partials));
    for (long long q = first_of(blockIdx.x, blockDim.x, threadIdx.x); q < pixels; q += stride_of(gridDim.x, blockDim.x)) {
        const Real below = weight[q] + ground;
        if (!(below > 0)) continue;
        for (long long k = 0; k < layers; ++k) {
            const Complex<Real> above = total[k * pixels + q] + scaled(held[k * pixels + q], ground);
            old[k * pixels + q] = {above.re / below, above.im / below};
        }
    }
}

// partial: per block, the largest of S = sum_m |P_m|^2, and after these the largest of T = |O|^2 in the window of the
// view. Launch with threads (32, 8) and a grid over (columns, rows) of the window.
template <typename Real>
__global__ void __launch_bounds__(256)
largest_of_both(const Complex<Real>* __restrict__ obj, long long height, long long width,
                const long long* __restrict__ corners, const Complex<Real>* __restrict__ probe, long long modes,
                long long n, double* __restrict__ partial)
{
    double most_light = 0.0;
    double most_seen = 0.0;
    for (long long r = first_of(blockIdx.y, blockDim.y, threadIdx.y); r < n; r += stride_of(gridDim.y, blockDim.y)) {
        for (long long c = first_of(blockIdx.x, blockDim.x, threadIdx.x); c < n; c += stride_of(gridDim.x, blockDim.x)) {
            Real light = 0;
            for (long long m = 0; m < modes; ++m) light += power(probe[(m * n + r) * n + c]);
            const Real seen = power(pixel_of(obj, height, width, corners[0] + r, corners[1] + c));
            most_light = light > most_light ? light : most_light;
            most_seen = seen > most_seen ? seen : most_seen;
        }
    }
    most_light = block_max(most_light);
    most_seen = block_max(most_seen);
    if (thread_of_block() == 0) {
        const long long block = static_cast<long long>(blockIdx.y) * gridDim.x + blockIdx.x;
        partial[block] = most_light;
        partial[static_cast<long long>(gridDim.x) * gridDim.y + block] = most_seen;
    }
}

// O += obj_step sum_m conj(P_m) w_m / [alpha max(S) + (1 - alpha) S] and P_m += probe_step conj(O) w_m / [beta max(T) +
// (1 - beta) T], both from what they were; waves (modes, n, n) of one view. A step of 0 leaves its part as it is.
// Launch with threads (32, 8) and a grid over (columns, rows) of the window.
template <typename Real>
__global__ void __launch_bounds__(256)
update_both(Complex<Real>* obj, long long height, long long width, const long long* __restrict__ corners,
            Complex<Real>* probe, const Complex<Real>* __restrict__ waves, long long modes, long long n,
            const double* __restrict__ partial, long long partials, double alpha, double obj_step, double beta,
            double probe_step, Real tiny)
{
    const Step<Real> of_obj(largest_of(partial, partials), alpha, obj_step, tiny);
    const Step<Real> of_probe(largest_of(partial + partials, partials), beta, probe_step, tiny);
    for (long long r = first_of(blockIdx.y, blockDim.y, threadIdx.y); r < n; r += stride_of(gridDim.y, blockDim.y)) {
        for (long long c = first_of(blockIdx.x, blockDim.x, threadIdx.x); c < n; c += stride_of(gridDim.x, blockDim.x)) {
            const long long row = corners[0] + r;
            const long long column = corners[1] + c;
            const Complex<Real> o = pixel_of(obj, height, width, row, column);
            const Real on_probe = of_probe.at(power(o));
            BothSteps<Real> both = {};
            for (long long m = 0; m < modes; ++m) {
                const long long q = (m * n + r) * n + c;
                const Complex<Real> p = both.probe(o, probe[q], waves[q], on_probe);
                if (probe_step != 0) probe[q] = p;
            }
            if (obj_step != 0 && within(row, height) && within(column, width))
                obj[row * width + column] = both.object(o, of_obj);
        }
    }
}
