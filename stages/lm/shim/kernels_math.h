// Vectors and the exponential, for the files that are compiled once for each instruction set.
#pragma once

#include <cstdint>
#include <cstring>

#include "kernels.h"

#define INLINE static inline __attribute__((always_inline))

// The contents of one register. A compiler would keep wider vectors in memory, so sixteen floats are composed of
// registers below.
#if defined(__AVX512F__)
typedef float Register __attribute__((vector_size(64)));
#elif defined(__AVX__)
typedef float Register __attribute__((vector_size(32)));
#else
typedef float Register __attribute__((vector_size(16)));
#endif

// Two halves; operations apply to both.
template <typename Half>
struct Pair {
    Half low, high;
};

template <typename Half>
INLINE Pair<Half> operator+(Pair<Half> a, Pair<Half> b) {
    return {a.low + b.low, a.high + b.high};
}
template <typename Half>
INLINE Pair<Half> operator*(Pair<Half> a, Pair<Half> b) {
    return {a.low * b.low, a.high * b.high};
}
template <typename Half>
INLINE Pair<Half> operator*(float a, Pair<Half> b) {
    return {a * b.low, a * b.high};
}
template <typename Half>
INLINE Pair<Half> operator/(Pair<Half> a, float b) {
    return {a.low / b, a.high / b};
}
template <typename Half>
INLINE void operator+=(Pair<Half>& a, Pair<Half> b) {
    a.low += b.low;
    a.high += b.high;
}

template <typename Part, int count>
struct Parts {
    typedef Pair<typename Parts<Part, count / 2>::Whole> Whole;
};
template <typename Part>
struct Parts<Part, 1> {
    typedef Part Whole;
};

// Sixteen floats: one register or several, depending on the instruction set.
typedef Parts<Register, 64 / sizeof(Register)>::Whole Vector;

// Loads and stores at any address, register by register: copying a whole Vector would go through memory in smaller
// pieces.
typedef Register Unaligned __attribute__((aligned(4), may_alias));

INLINE void take(Register& v, const float* x) { v = *reinterpret_cast<const Unaligned*>(x); }
INLINE void put(float* x, Register v) { *reinterpret_cast<Unaligned*>(x) = v; }

template <typename Half>
INLINE void take(Pair<Half>& v, const float* x) {
    take(v.low, x);
    take(v.high, x + sizeof(Half) / sizeof(float));
}
template <typename Half>
INLINE void put(float* x, Pair<Half> v) {
    put(x, v.low);
    put(x + sizeof(Half) / sizeof(float), v.high);
}

INLINE Vector load(const float* x) {
    Vector v;
    take(v, x);
    return v;
}

INLINE void store(float* x, Vector v) { put(x, v); }

// Conversions between elements and floats; rounds to nearest, ties to even.
INLINE float get(float x) { return x; }
INLINE float get(Bf16 x) {
    uint32_t bits = static_cast<uint32_t>(x.bits) << 16;
    float wide;
    std::memcpy(&wide, &bits, 4);
    return wide;
}
INLINE void set(float& x, float value) { x = value; }
INLINE void set(Bf16& x, float value) {
    uint32_t bits;
    std::memcpy(&bits, &value, 4);
    uint32_t rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
    x.bits = static_cast<uint16_t>(value == value ? rounded : 0x7fc0);
}

// Copies a vector of elements.
template <typename To, typename From>
INLINE void copy(To* to, const From* from, int64_t count) {
#pragma omp simd
    for (int64_t c = 0; c < count; ++c) set(to[c], get(from[c]));
}
template <typename E>
INLINE void copy(E* to, const E* from, int64_t count) {
    std::memcpy(to, from, count * sizeof(E));
}

// Adds elements at distance 8, 4, 2, 1, in a fixed order.
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

template <typename E>
INLINE float max_of(const E* x, int64_t count) {
    float top = get(x[0]);
#pragma omp simd reduction(max : top)
    for (int64_t j = 0; j < count; ++j) top = get(x[j]) > top ? get(x[j]) : top;
    return top;
}
