// Enough of CUDA C++ to run a kernel on one CPU thread, for tests; put in front of the text of a .cu file.
//
// The threads of a block are fibers (ucontext, and from their second turn on GCC's own setjmp, a few instructions
// without a system call; one that has ended serves the next block). Blocks, warps and lanes take turns in a shuffled order, and each warp runs as far ahead of the others as the barriers
// let it, so that a result that leans on an order, or a barrier that is missing, shows. A barrier that not all threads
// of the block (or warp) reach is reported, where a GPU would hang.
//
// A kernel whose first launch came to no barrier is run without fibers from then on, one thread after the other.

#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

// <math.h> would double the time that a kernel takes to compile.
extern "C" double nan(const char*);
inline bool isfinite(float x) { return __builtin_isfinite(x); }
inline bool isfinite(double x) { return __builtin_isfinite(x); }
inline float sqrt(float x) { return __builtin_sqrtf(x); }
inline double sqrt(double x) { return __builtin_sqrt(x); }
inline double rint(double x) { return __builtin_rint(x); }
inline double log2(double x) { return __builtin_log2(x); }
inline double ldexp(double x, int e) { return __builtin_ldexp(x, e); }
inline float log(float x) { return __builtin_logf(x); }
inline double log(double x) { return __builtin_log(x); }
inline float log1p(float x) { return __builtin_log1pf(x); }
inline double log1p(double x) { return __builtin_log1p(x); }
constexpr double standin_pi = 3.14159265358979323846;
inline void sincospi(double x, double* s, double* c)
{
    *s = __builtin_sin(standin_pi * x);
    *c = __builtin_cos(standin_pi * x);
}
inline void sincospif(float x, float* s, float* c)
{
    *s = static_cast<float>(__builtin_sin(standin_pi * x));
    *c = static_cast<float>(__builtin_cos(standin_pi * x));
}

#define __global__ static
#define __device__
#define __shared__ static
#define __launch_bounds__(...)

struct dim3 {
    unsigned x, y, z;
};

static dim3 threadIdx, blockIdx, blockDim, gridDim;

namespace standin {

constexpr unsigned warp_size = 32, max_threads = 1024;
constexpr size_t stack_bytes = 32768 + 5 * 64;  // no power of two: stacks do not push each other out of the cache

struct Barrier {
    unsigned waiting, passed;
};

using Place = void* [5];  // of __builtin_setjmp

struct Fiber {
    Place place;
    dim3 where;
    const Barrier* at;  // where it waits
    unsigned passed;    // how often that had been passed when it came there
    bool begun, done;
};

static Fiber fibers[max_threads];
static char* stacks;
static unsigned stacks_for;
static Place scheduler;
static Barrier block_barrier, warp_barrier[max_threads / warp_size];
static double slots[max_threads];
static unsigned current, threads, events, seed;
static bool barriers, direct, launched;  // of this kernel alone, unlike what is static in an inline function
static const char* failure;
static void (*body)(void**);
static void** arguments;

inline unsigned random_below(unsigned n)
{
    seed ^= seed << 13;
    seed ^= seed >> 17;
    seed ^= seed << 5;
    return static_cast<unsigned>(static_cast<unsigned long long>(seed) * n >> 32);
}

inline void shuffle(unsigned* order, unsigned n)
{
    for (unsigned i = 0; i < n; ++i) order[i] = i;
    for (unsigned i = n; i > 1; --i) {
        const unsigned j = random_below(i);
        const unsigned kept = order[i - 1];
        order[i - 1] = order[j];
        order[j] = kept;
    }
}

inline void place(unsigned index, dim3 size, dim3& where)
{
    where = {index % size.x, index / size.x % size.y, index / size.x / size.y};
}

// GCC's setjmp and longjmp must not be in one function.
[[noreturn, gnu::noinline]] inline void jump(void** place) { __builtin_longjmp(place, 1); }

[[gnu::noinline]] inline void yield()
{
    if (__builtin_setjmp(fibers[current].place) == 0) jump(scheduler);
}

inline void start();

// Let a fiber run until it yields.
[[gnu::noinline]] inline void resume(Fiber& fiber)
{
    if (__builtin_setjmp(scheduler) != 0) return;
    if (fiber.begun) jump(fiber.place);
    fiber.begun = true;
    ucontext_t context;
    getcontext(&context);
    context.uc_stack.ss_sp = stacks + current * stack_bytes;
    context.uc_stack.ss_size = stack_bytes;
    context.uc_link = nullptr;
    makecontext(&context, start, 0);
    setcontext(&context);
}

inline void wait(Barrier& barrier, unsigned expected)
{
    barriers = true;
    if (direct) {
        failure = "a barrier in a kernel that had none in its first launch";
        return;
    }
    if (++barrier.waiting == expected) {
        barrier.waiting = 0;
        ++barrier.passed;
        ++events;
        return;
    }
    fibers[current].at = &barrier;
    fibers[current].passed = barrier.passed;
    yield();
    fibers[current].at = nullptr;
}

inline bool ready(const Fiber& fiber)
{
    return !fiber.done && (fiber.at == nullptr || fiber.at->passed != fiber.passed);
}

inline void wait_for_warp(unsigned mask)
{
    if (mask != 0xffffffffu) failure = "a warp function was called with a partial mask";
    const unsigned first = current / warp_size * warp_size;
    wait(warp_barrier[current / warp_size], threads - first < warp_size ? threads - first : warp_size);
}

inline void start()
{
    for (;;) {
        body(arguments);
        fibers[current].done = true;
        ++events;
        yield();
    }
}

inline void prepare_fiber(unsigned t)
{
    Fiber& fiber = fibers[t];
    place(t, blockDim, fiber.where);
    fiber.begun = fiber.begun && fiber.done;
    fiber.at = nullptr;
    fiber.done = false;
}

// Run the lanes of a warp until none of them gets any further; returns how many ended.
inline unsigned run_warp(unsigned first)
{
    unsigned order[warp_size], ended = 0;
    const unsigned lanes = threads - first < warp_size ? threads - first : warp_size;
    for (bool some = true; some;) {
        some = false;
        for (unsigned i = 0; i < lanes && !some; ++i) some = ready(fibers[first + i]);
        if (some) shuffle(order, lanes);
        for (unsigned i = 0; i < lanes && some; ++i) {
            current = first + order[i];
            if (!ready(fibers[current])) continue;
            threadIdx = fibers[current].where;
            resume(fibers[current]);
            if (fibers[current].done) ++ended;
        }
    }
    return ended;
}

// Run a block of a kernel without barriers.
inline void run_threads()
{
    unsigned order[max_threads];
    shuffle(order, threads);
    for (unsigned t = 0; t < threads; ++t) {
        current = order[t];
        place(current, blockDim, threadIdx);
        body(arguments);
    }
}

inline void run_block()
{
    unsigned order[max_threads / warp_size];
    const unsigned warps = (threads + warp_size - 1) / warp_size;
    block_barrier = {0, 0};
    memset(warp_barrier, 0, sizeof warp_barrier);
    for (unsigned t = 0; t < threads; ++t) prepare_fiber(t);
    for (unsigned left = threads; left > 0 && failure == nullptr;) {
        const unsigned before = events;
        shuffle(order, warps);
        for (unsigned w = 0; w < warps; ++w) left -= run_warp(order[w] * warp_size);
        if (events == before) failure = "a barrier that some threads of the block never reach";
    }
}

template <class T> struct Element {
    static constexpr int size = -1;
};
template <class T> struct Element<T*> {
    static constexpr int size = sizeof(T);
};

template <int... I> struct Indices {};
template <int N, int... I> struct Count : Count<N - 1, N - 1, I...> {};
template <int... I> struct Count<0, I...> {
    using type = Indices<I...>;
};

template <class... A, int... I> void call(void (*kernel)(A...), void** values, Indices<I...>)
{
    kernel(*static_cast<A*>(values[I])...);
}

template <class... A> void call(void (*kernel)(A...), void** values)
{
    call(kernel, values, typename Count<sizeof...(A)>::type());
}

// What the caller hands over must have the widths that the kernel declares: on a GPU a wrong one is read as garbage.
template <class... A> const char* check(void (*)(A...), int count, const int* bytes, const int* element_bytes)
{
    if (count != sizeof...(A)) return "wrong number of arguments";
    const int wanted[] = {sizeof(A)...};
    const int wanted_elements[] = {Element<A>::size...};
    for (int i = 0; i < count; ++i) {
        if (bytes[i] != wanted[i]) return "an argument has another width than the kernel's parameter";
        if (element_bytes[i] != 0 && element_bytes[i] != wanted_elements[i])
            return "an array for a number, a number for an array, or an array of another element size";
    }
    return nullptr;
}

inline const char* launch(void (*run)(void**), void** values, dim3 grid, dim3 block)
{
    static bool running;
    if (running) return "a launch within a launch";
    running = true;
    gridDim = grid;
    blockDim = block;
    threads = block.x * block.y * block.z;
    body = run;
    arguments = values;
    failure = nullptr;
    seed = 2463534242u;
    direct = launched && !barriers;
    if (!direct && threads > stacks_for) {
        free(stacks);
        stacks = static_cast<char*>(malloc(threads * stack_bytes));
        stacks_for = threads;
        for (Fiber& fiber : fibers) fiber.begun = false;
    }
    const unsigned blocks = grid.x * grid.y * grid.z;
    unsigned* order = static_cast<unsigned*>(malloc(blocks * sizeof(unsigned)));
    shuffle(order, blocks);
    for (unsigned b = 0; b < blocks && failure == nullptr; ++b) {
        place(order[b], grid, blockIdx);
        direct ? run_threads() : run_block();
    }
    free(order);
    running = false;
    launched = true;
    return failure;
}

}  // namespace standin

inline void __syncthreads() { standin::wait(standin::block_barrier, standin::threads); }

inline void __syncwarp() { standin::wait_for_warp(0xffffffffu); }

inline unsigned __ballot_sync(unsigned mask, bool vote)
{
    standin::slots[standin::current] = vote;
    standin::wait_for_warp(mask);
    const unsigned first = standin::current / 32 * 32;
    unsigned bits = 0;
    for (unsigned lane = 0; lane < 32 && first + lane < standin::threads; ++lane)
        if (standin::slots[first + lane] != 0) bits |= 1u << lane;
    standin::wait_for_warp(mask);
    return bits;
}

inline double __shfl_down_sync(unsigned mask, double value, unsigned delta)
{
    standin::slots[standin::current] = value;
    standin::wait_for_warp(mask);
    const unsigned lane = standin::current % 32;
    const double got = lane + delta < 32 ? standin::slots[standin::current + delta] : value;
    standin::wait_for_warp(mask);
    return got;
}

inline int __popc(unsigned bits) { return __builtin_popcount(bits); }

template <class T> T atomicAdd(T* where, T value)
{
    const T before = *where;
    *where = before + value;
    return before;
}
