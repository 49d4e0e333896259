// Shared by all kernels: elements, packs of elements, and sums over the threads of a warp.
//
// The files of this folder are one source (`kernels.rs` has their order), which is compiled for the GPU when first
// needed, without any header; tests run it on the CPU (simulated-gpu). Elements are read sixteen bytes at a time, so
// rows are multiples of sixteen bytes and aligned to sixteen bytes. All arithmetic is in single precision.

typedef long long int64;

// bf16: the upper half of a float.
struct Bf16 {
    unsigned short bits;
};

__device__ inline float get(float x) { return x; }
__device__ inline float get(Bf16 x) { return __uint_as_float(static_cast<unsigned>(x.bits) << 16); }
__device__ inline void set(float& to, float x) { to = x; }
__device__ inline void set(Bf16& to, float x) {
    unsigned bits = __float_as_uint(x);
    // Rounds to nearest, ties to even.
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

// Less than any score, but finite: exp(LEAST - top) is 0 for any score `top`, and LEAST - LEAST is not NaN.
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
