// What the kernels share: elements, packs of them, and sums over the threads of a warp.
//
// The files of this folder are one source (`kernels.rs` has their order), compiled for the card at hand when first
// wanted, without any header; tests run it on the CPU (simulated-gpu). Elements are read sixteen bytes at a time: rows
// are multiples of that, and begin at one. All is computed in single precision.

typedef long long int64;

// A brain float: the upper half of a float.
struct Brain {
    unsigned short bits;
};

__device__ inline float get(float x) { return x; }
__device__ inline float get(Brain x) { return __uint_as_float(static_cast<unsigned>(x.bits) << 16); }
__device__ inline void set(float& to, float x) { to = x; }
__device__ inline void set(Brain& to, float x) {
    unsigned bits = __float_as_uint(x);
    // To the nearest, and of two as near to the even one.
    to.bits = static_cast<unsigned short>(x != x ? 0x7fc0 : (bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

template <typename E>
struct alignas(16) Pack {
    static const int COUNT = 16 / sizeof(E);
    E of[COUNT];
};

template <typename E>
__device__ inline Pack<E> load(const E* from) {
    return *reinterpret_cast<const Pack<E>*>(from);
}

template <typename E>
__device__ inline void store(E* to, const Pack<E>& pack) {
    *reinterpret_cast<Pack<E>*>(to) = pack;
}

// Less than any score, and yet a number: its exponential is 0, also beside itself.
#define LEAST (-3e38f)
#define WARP 32
#define MOST_WARPS 32

__device__ inline float sum_of_warp(float x) {
    for (int lane = WARP / 2; lane > 0; lane /= 2) x += __shfl_xor_sync(0xffffffffu, x, lane);
    return x;
}

__device__ inline float max_of_warp(float x) {
    for (int lane = WARP / 2; lane > 0; lane /= 2) x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, lane));
    return x;
}
