// The part of CUDA C++ that the kernels use, for a C++ compiler. Threads are those of grid.cpp: one runs at a time,
// until it ends or waits for its warp or its block.
#pragma once

#include <cstdint>
#include <cstring>
#include <math.h>

#define __global__
#define __device__
#define __launch_bounds__(...)
// Only one block runs at a time. The previous block's data are still there, as they may be on a card.
#define __shared__ static

struct uint3 {
    unsigned x, y, z;
};

#define HIDDEN __attribute__((visibility("hidden")))
extern HIDDEN uint3 threadIdx, blockIdx, blockDim, gridDim;

namespace simulated {

const unsigned WARP = 32;
const unsigned ALL_LANES = 0xffffffff;

HIDDEN unsigned lane();
HIDDEN void wait_for_block();
// Shares `bits` with the warp and returns those of lane `from`, or `bits` if there is no such lane.
HIDDEN uint64_t exchange(uint64_t bits, unsigned from);
// Ends the program: the kernel did something wrong that a card might not report.
[[noreturn]] HIDDEN void refuse(const char* what);

inline void check_mask(unsigned mask) {
    if (mask != ALL_LANES) refuse("only some lanes of a warp are named");
}

template <typename To, typename From>
inline To bits_of(From value) {
    static_assert(sizeof(To) == sizeof(From), "these are not the same bits");
    To bits;
    std::memcpy(&bits, &value, sizeof(To));
    return bits;
}

template <typename T>
inline T shuffle(unsigned mask, T value, unsigned from) {
    static_assert(sizeof(T) == 4 || sizeof(T) == 8, "a shuffle moves 4 or 8 bytes");
    check_mask(mask);
    uint64_t bits = 0;
    std::memcpy(&bits, &value, sizeof(T));
    bits = exchange(bits, from);
    std::memcpy(&value, &bits, sizeof(T));
    return value;
}

}  // namespace simulated
#undef HIDDEN

inline void __syncthreads() { simulated::wait_for_block(); }

// Lanes beyond the warp's ends do not exist.
template <typename T>
inline T __shfl_xor_sync(unsigned mask, T value, int lane_mask) {
    return simulated::shuffle(mask, value, simulated::lane() ^ unsigned(lane_mask));
}
template <typename T>
inline T __shfl_up_sync(unsigned mask, T value, unsigned delta) {
    return simulated::shuffle(mask, value, simulated::lane() - delta);
}

inline unsigned __float_as_uint(float x) { return simulated::bits_of<unsigned>(x); }
inline float __uint_as_float(unsigned x) { return simulated::bits_of<float>(x); }
inline float __int_as_float(int x) { return simulated::bits_of<float>(x); }

inline float rsqrtf(float x) { return 1.0f / sqrtf(x); }

// As in CUDA: both numbers have the same type.
#define MIN_AND_MAX(T)                               \
    inline T min(T a, T b) { return b < a ? b : a; } \
    inline T max(T a, T b) { return a < b ? b : a; }
MIN_AND_MAX(int)
MIN_AND_MAX(long long)
#undef MIN_AND_MAX
