// Vectors and the exponential, for the files that are compiled once for each instruction set.
#pragma once

#include <cstdint>
#include <cstring>

#include "kernels.h"

#define INLINE static inline __attribute__((always_inline))

// Sixteen floats: one register or several, as the instruction set has it.
typedef float Vector __attribute__((vector_size(64)));

INLINE Vector load(const float* x) {
    Vector v;
    std::memcpy(&v, x, sizeof v);
    return v;
}

INLINE void store(float* x, Vector v) { std::memcpy(x, &v, sizeof v); }

INLINE Vector all(float x) { return x - (Vector){}; }

// Adds neighbours at distance 8, 4, 2, 1: a fixed order.
INLINE float sum(Vector v) {
    float x[WIDTH];
    store(x, v);
    for (int64_t step = WIDTH / 2; step > 0; step /= 2)
        for (int64_t k = 0; k < step; ++k) x[k] += x[k + step];
    return x[0];
}

// e^x to about one unit in the last place, without a branch, so that loops over it are vectorised; 0 below e^-87.
INLINE float exp_(float x) {
    const float shift = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer, kept in the low bits
    float clamped = x < -87.0f ? -87.0f : (x > 88.0f ? 88.0f : x);
    float shifted = clamped * 1.44269504f + shift;
    float n = shifted - shift;
    float r = clamped - n * 0.693359375f;
    r = r + n * 2.12194440e-4f;
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    int32_t bits;
    std::memcpy(&bits, &shifted, 4);
    bits = (bits - 0x4b400000 + 127) << 23;
    float power;
    std::memcpy(&power, &bits, 4);
    return x < -87.0f ? 0.0f : p * power;
}

INLINE float sigmoid_(float x) { return 1.0f / (1.0f + exp_(-x)); }

INLINE float max_of(const float* x, int64_t count) {
    float top = x[0];
#pragma omp simd reduction(max : top)
    for (int64_t j = 0; j < count; ++j) top = x[j] > top ? x[j] : top;
    return top;
}
