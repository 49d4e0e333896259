// The CPU kernels: plain loops over arrays, compiled once for each instruction set and chosen at start.
//
// kernels*.cpp must not include headers of libtorch: the linker could keep an inline function, compiled here for a
// newer processor, for all files. Every sum has a fixed order, so results do not depend on addresses or time.
#pragma once

#include <cstdint>

// h query heads share g key and value heads of width d. A token's channels: h queries, g keys, g values. A token sees
// `window` tokens, its own included; with 0, all tokens before it.
struct Heads {
    int64_t h, g, d, window;
    int64_t channels() const { return (h + 2 * g) * d; }
    int64_t group() const { return h / g; }
    // Returns the first position that the token at `position` sees.
    int64_t first(int64_t position) const { return window > 0 && position >= window ? position + 1 - window : 0; }
};

// Kernels pad widths and lengths to whole vectors of this many numbers.
const int64_t WIDTH = 16;
inline int64_t padded(int64_t x) { return (x + WIDTH - 1) / WIDTH * WIDTH; }

// Tokens of the vocabulary in a block of `weigh`'s sums.
const int64_t BLOCK = 64;

// bf16: the upper half of an f32.
struct Bf16 {
    uint16_t bits;
};

// The kernels of training, for elements E: f32, or bf16, which is converted to f32 when read and rounded when written.
// Sums are always f32.
template <typename E>
struct ElementKernels {
    // y = x / rms(x) * w for n tokens of width d; stores each 1 / rms in `inverse`.
    void (*norm_forward)(const E* x, const float* w, E* y, float* inverse, int64_t n, int64_t d, float eps);
    // Adds to dw.
    void (*norm_backward)(const E* dy, const E* x, const float* w, const float* inverse, E* dx, float* dw, int64_t n,
                          int64_t d);
    // y = silu(gate) * up; x contains gate and up, each of width f.
    void (*swiglu_forward)(const E* x, E* y, int64_t n, int64_t f);
    void (*swiglu_backward)(const E* dy, const E* x, E* dx, int64_t n, int64_t f);
    // Rotates the first `heads` heads of every token by its angles and copies the other channels; sign -1 rotates back.
    void (*rotate)(const E* x, const float* cos, const float* sin, E* y, int64_t n, int64_t channels, int64_t heads,
                   int64_t d, float sign);

    // Causal attention of one row for one key head and its queries; `lse` has h numbers for each token.
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

    // Returns the floats of scratch memory for attention of a row of t tokens.
    int64_t (*attention_scratch)(int64_t t, int64_t d);
    // The same for one new token over a cache of `positions` positions.
    int64_t (*decode_scratch)(int64_t positions, int64_t d);
    // Writes one token's key and value to `position` of its row's cache. Heads are outermost, padded to whole vectors;
    // keys are in blocks of sixteen positions, each block by channel; values are by position. A head's keys and values
    // are thus read sequentially.
    void (*cache_write)(const float* qkv, float* keys, float* values, int64_t position, int64_t positions, Heads heads);
    // Does the same as cache_write, then attends over the positions up to this one.
    void (*decode)(const float* qkv, float* keys, float* values, float* out, int64_t position, int64_t positions,
                   Heads heads, float* scratch);

    // Adds w x to y for n tokens: y[i * stride + r] += row r of w . x[i], for `rows` rows of width d. For a few tokens
    // only.
    void (*few_token_matmul)(const float* w, const float* x, float* y, int64_t rows, int64_t d, int64_t n,
                             int64_t stride);
    // weights = e^(x scale - top), and their sums over blocks of BLOCK. Sets `top`, and returns the total.
    double (*weigh)(const float* x, float* weights, float* sums, int64_t v, float scale, double* top);
    // The sum of the squares of n numbers.
    double (*squares)(const float* x, int64_t n);

    const ElementKernels<float>& of(float) const { return floats; }
    const ElementKernels<Bf16>& of(Bf16) const { return bf16s; }
};

// Returns the best set of kernels that this processor supports.
const Kernels& kernels();
