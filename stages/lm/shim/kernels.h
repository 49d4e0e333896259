// The CPU kernels: plain loops over arrays, compiled once for each instruction set and chosen at start.
//
// kernels*.cpp include no header of libtorch: an inline function of it, compiled for a newer processor, could otherwise
// be the one that the linker keeps for all files. Every sum has one fixed order: results depend on neither addresses nor
// time.
#pragma once

#include <cstdint>

// h query heads share g key and value heads of width d. A token's channels: h queries, g keys, g values. A token sees
// `window` tokens, its own included; 0 stands for all before it.
struct Heads {
    int64_t h, g, d, window;
    int64_t channels() const { return (h + 2 * g) * d; }
    int64_t group() const { return h / g; }
    // The first position that the token at `position` sees.
    int64_t first(int64_t position) const { return window > 0 && position >= window ? position + 1 - window : 0; }
};

// Kernels pad widths and lengths to whole vectors of this many numbers.
const int64_t WIDTH = 16;
inline int64_t padded(int64_t x) { return (x + WIDTH - 1) / WIDTH * WIDTH; }

// Tokens per block of block_sums, in floats.
const int64_t BLOCK = 64;

// bf16: the upper half of an f32.
struct Bf16 {
    uint16_t bits;
};

// The kernels of training, for elements E: f32, or bf16 that is widened as it is read and rounded as it is written.
// Sums are f32 either way.
template <typename E>
struct ElementKernels {
    // y = x / rms(x) * w for n tokens of width d; `inverse` gets 1 / rms of each.
    void (*norm_forward)(const E* x, const float* w, E* y, float* inverse, int64_t n, int64_t d, float eps);
    // Adds to dw.
    void (*norm_backward)(const E* dy, const E* x, const float* w, const float* inverse, E* dx, float* dw, int64_t n,
                          int64_t d);
    // y = silu(gate) * up; x holds gate and up of width f.
    void (*swiglu_forward)(const E* x, E* y, int64_t n, int64_t f);
    void (*swiglu_backward)(const E* dy, const E* x, E* dx, int64_t n, int64_t f);
    // Rotates the first `heads` heads of every token by its angles and copies the other channels; sign -1 rotates back.
    void (*rotate)(const E* x, const float* cos, const float* sin, E* y, int64_t n, int64_t channels, int64_t heads,
                   int64_t d, float sign);

    // Causal attention of one row for one key head and its queries; `lse` gets h numbers a token.
    void (*attention_forward)(const E* qkv, E* out, float* lse, int64_t t, int64_t head, Heads heads, float* scratch);
    // Writes (not adds) the gradients of these heads' channels.
    void (*attention_backward)(const E* dout, const E* qkv, const E* out, const float* lse, E* dqkv, int64_t t,
                               int64_t head, Heads heads, float* scratch);

    // ln of the sum of e^(x scale) over v numbers.
    double (*log_sum_exp)(const E* x, int64_t v, float scale);
    // The gradient of ln p(target): scale * grad * (1 at the target - p).
    void (*log_prob_backward)(const E* x, E* dx, int64_t v, int64_t target, float lse, float scale, float grad);
};

struct Kernels {
    ElementKernels<float> floats;
    ElementKernels<Bf16> bf16s;

    // Floats of scratch that attention of a row of t tokens needs.
    int64_t (*attention_scratch)(int64_t t, int64_t d);
    // The same for one new token over a cache of so many positions.
    int64_t (*decode_scratch)(int64_t positions, int64_t d);
    // Writes one token's key and value to `position` of its row's cache: heads outermost, padded to whole vectors; keys
    // in blocks of sixteen positions, each by channel; values by position. So a head's keys and values are read front to
    // back.
    void (*cache_write)(const float* qkv, float* keys, float* values, int64_t position, int64_t positions, Heads heads);
    // As cache_write, then attends over the positions up to this one.
    void (*decode)(const float* qkv, float* keys, float* values, float* out, int64_t position, int64_t positions,
                   Heads heads, float* scratch);

    // Adds w x to y for n tokens: y[i * stride + r] += row r of w . x[i], for `rows` rows of width d. For a few tokens
    // only.
    void (*few_token_matmul)(const float* w, const float* x, float* y, int64_t rows, int64_t d, int64_t n,
                             int64_t stride);
    // weights = e^(x scale - top), sums of it over blocks of BLOCK, and the total, which is returned; sets `top`.
    double (*weigh)(const float* x, float* weights, float* sums, int64_t v, float scale, double* top);
    // The sum of the squares of n numbers.
    double (*squares)(const float* x, int64_t n);

    const ElementKernels<float>& of(float) const { return floats; }
    const ElementKernels<Bf16>& of(Bf16) const { return bf16s; }
};

// The best set that this processor runs.
const Kernels& kernels();
