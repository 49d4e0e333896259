// Dropout whose draws depend on nothing but their place: a hash of the pass, the weight and the element. A layer that
// is recomputed in the backward pass, a resumed attempt and another device draw the same.
#pragma once

#include "shim.h"

#include <ATen/Parallel.h>

namespace dropout {

// Steele, Lea and Flood 2014, the finaliser of SplitMix64; `x` times this odd constant visits all numbers.
const uint64_t GOLDEN = 0x9e3779b97f4a7c15, FIRST = 0xbf58476d1ce4e5b9, SECOND = 0x94d049bb133111eb;

inline uint64_t mixed(uint64_t z) {
    z = (z ^ (z >> 30)) * FIRST;
    z = (z ^ (z >> 27)) * SECOND;
    return z ^ (z >> 31);
}

// A draw has this many bits.
const int BITS = 24;

// The same as `mixed` on whole numbers of 64 bits with a sign, whose shift to the right must not repeat the sign.
inline at::Tensor mixed(at::Tensor z) {
    auto shifted = [](const at::Tensor& z, int64_t by) {
        return at::bitwise_and(at::bitwise_right_shift(z, by), (int64_t(1) << (64 - by)) - 1);
    };
    z = at::bitwise_xor(z, shifted(z, 30)).mul_(int64_t(FIRST));
    z = at::bitwise_xor(z, shifted(z, 27)).mul_(int64_t(SECOND));
    return at::bitwise_xor(z, shifted(z, 31));
}

// A factor for each element of `like`, in single precision: 0 for a share `p` of them, 1 / (1 - p) for the others.
inline at::Tensor mask(const at::Tensor& like, double p, uint64_t key) {
    int64_t count = like.numel(), least = std::llround(p * (int64_t(1) << BITS));
    float kept = float(1.0 / (1.0 - p));
    if (!like.device().is_cpu()) {
        at::Tensor z = at::arange(count, like.options().dtype(at::kLong)).mul_(int64_t(GOLDEN)).add_(int64_t(key));
        at::Tensor draws = at::bitwise_and(at::bitwise_right_shift(mixed(z), 64 - BITS), (int64_t(1) << BITS) - 1);
        return draws.ge(least).to(at::kFloat).mul_(kept).view(like.sizes());
    }
    at::Tensor factors = at::empty(like.sizes(), like.options().dtype(at::kFloat));
    float* out = factors.mutable_data_ptr<float>();
    at::parallel_for(0, count, 1 << 14, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
            int64_t draw = int64_t(mixed(uint64_t(i) * GOLDEN + key) >> (64 - BITS));
            out[i] = draw >= least ? kept : 0.0f;
        }
    });
    return factors;
}

}  // namespace dropout
