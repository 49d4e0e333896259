// Causal attention of packed rows, and of new tokens over a KV cache, on the CPU.
//
// libtorch's CPU attention calls a matmul for each row and head, which costs more than the arithmetic when rows are
// short. Here, a row and head take a few loops.
#include "cpu.h"

#include <torch/csrc/autograd/custom_function.h>
#include <vector>

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

namespace {

// Calls work(first token, tokens, key head, scratch) for every row and key head.
template <typename Work>
void for_rows(const at::Tensor& starts, const Heads& heads, Work work) {
    const int64_t* at = starts.const_data_ptr<int64_t>();
    int64_t rows = starts.numel() - 1, longest = 0;
    for (int64_t b = 0; b < rows; ++b) longest = std::max(longest, at[b + 1] - at[b]);
    at::parallel_for(0, rows * heads.g, 1, [&](int64_t a, int64_t b) {
        std::vector<float> scratch(kernels().attention_scratch(longest, heads.d));
        for (int64_t unit = a; unit < b; ++unit) {
            int64_t row = unit / heads.g;
            work(at[row], at[row + 1] - at[row], unit % heads.g, scratch.data());
        }
    });
}

struct RowAttention : torch::autograd::Function<RowAttention> {
    // `starts` contains the start of each row, and the number of tokens at the end.
    static at::Tensor forward(AutogradContext* ctx, const at::Tensor& input, const at::Tensor& starts, int64_t h,
                              int64_t g, int64_t d, int64_t window) {
        at::Tensor qkv = dense(input);
        Heads heads{h, g, d, window};
        int64_t n = qkv.size(0), C = heads.channels();
        TORCH_CHECK(qkv.size(1) == C, "attention expects ", C, " channels, got ", qkv.size(1));
        at::Tensor out = at::empty({n, h * d}, qkv.options()), lse = at::empty({n, h}, floats(qkv));
        float* l = lse.mutable_data_ptr<float>();
        by_element(qkv, [&](auto elements) {
            auto* x = elements.of(qkv);
            auto* y = elements.to(out);
            for_rows(starts, heads, [&](int64_t at, int64_t t, int64_t head, float* scratch) {
                elements.kernels().attention_forward(x + at * C, y + at * h * d, l + at * h, t, head, heads, scratch);
            });
        });
        ctx->save_for_backward({input, starts, out, lse});
        ctx->saved_data["heads"] = std::vector<int64_t>{h, g, d, window};
        return out;
    }

    static variable_list backward(AutogradContext* ctx, variable_list grads) {
        variable_list saved = ctx->get_saved_variables();
        std::vector<int64_t> shape = ctx->saved_data["heads"].toIntVector();
        Heads heads{shape[0], shape[1], shape[2], shape[3]};
        at::Tensor dout = dense(grads[0]), qkv = dense(saved[0]), out = dense(saved[2]), dqkv = at::empty_like(qkv);
        int64_t C = heads.channels(), h = heads.h, d = heads.d;
        const float* l = saved[3].const_data_ptr<float>();
        by_element(qkv, [&](auto elements) {
            auto *dy = elements.of(dout), *x = elements.of(qkv), *y = elements.of(out);
            auto* dx = elements.to(dqkv);
            for_rows(saved[1], heads, [&](int64_t at, int64_t t, int64_t head, float* scratch) {
                elements.kernels().attention_backward(dy + at * h * d, x + at * C, y + at * h * d, l + at * h,
                                                      dx + at * C, t, head, heads, scratch);
            });
        });
        return {dqkv, at::Tensor(), at::Tensor(), at::Tensor(), at::Tensor(), at::Tensor()};
    }
};

// A cache of keys, [slots, g, positions / 16, padded(d), 16], and values, [slots, g, positions, padded(d)].
struct Cache {
    float *keys, *values;
    int64_t slots, positions, slot;

    Cache(const at::Tensor& k, const at::Tensor& v, const Heads& heads) {
        positions = v.size(2);
        slots = v.size(0);
        slot = positions * heads.g * padded(heads.d);
        TORCH_CHECK(k.is_contiguous() && v.is_contiguous() && positions % WIDTH == 0 && v.numel() == slots * slot &&
                        k.numel() == v.numel() && k.scalar_type() == at::kFloat && v.scalar_type() == at::kFloat,
                    "the cache has another layout");
        keys = k.mutable_data_ptr<float>();
        values = v.mutable_data_ptr<float>();
    }

    void check(int64_t row, int64_t position) const {
        TORCH_CHECK(row >= 0 && row < slots && position >= 0 && position < positions, "position ", position,
                    " of slot ", row, " is outside the cache");
    }
};

}  // namespace

extern "C" {

char* r1flow_row_attention(tensor qkv, tensor starts, int64_t h, int64_t g, int64_t d, int64_t window, tensor* out) {
    return guarded([&] { *out = new at::Tensor(RowAttention::apply(*qkv, *starts, h, g, d, window)); });
}

// Writes the key and value of token tokens[i] to position positions[i] of slot slots[i], for i below `count`.
char* r1flow_cache_write(tensor qkv, tensor keys, tensor values, const int64_t* tokens, const int64_t* slots,
                         const int64_t* positions, int64_t count, int64_t h, int64_t g, int64_t d) {
    return guarded([&] {
        at::Tensor x = plain(*qkv);
        Heads heads{h, g, d, 0};
        Cache cache(*keys, *values, heads);
        int64_t C = heads.channels();
        TORCH_CHECK(C == x.size(1), "the tokens do not fit the cache");
        const float* xp = x.const_data_ptr<float>();
        for (int64_t i = 0; i < count; ++i) {
            cache.check(slots[i], positions[i]);
            TORCH_CHECK(tokens[i] >= 0 && tokens[i] < x.size(0), "token ", tokens[i], " is not there");
            kernels().cache_write(xp + tokens[i] * C, cache.keys + slots[i] * cache.slot,
                                  cache.values + slots[i] * cache.slot, positions[i], cache.positions, heads);
        }
    });
}

// Row i writes its key and value to position positions[i] of slot i, then attends over the positions up to it. No
// gradient.
char* r1flow_decode_attention(tensor qkv, tensor keys, tensor values, const int64_t* positions, int64_t h, int64_t g,
                              int64_t d, int64_t window, tensor* out) {
    return guarded([&] {
        at::Tensor x = plain(*qkv);
        Heads heads{h, g, d, window};
        Cache cache(*keys, *values, heads);
        int64_t n = x.size(0), C = heads.channels(), longest = 0;
        TORCH_CHECK(C == x.size(1), "the tokens do not fit the cache");
        for (int64_t i = 0; i < n; ++i) {
            cache.check(i, positions[i]);
            longest = std::max(longest, positions[i] + 1);
        }
        at::Tensor result = at::empty({n, h * d}, x.options());
        const float* xp = x.const_data_ptr<float>();
        float* yp = result.mutable_data_ptr<float>();
        at::parallel_for(0, n, grain(2 * longest * h * d), [&](int64_t a, int64_t b) {
            std::vector<float> scratch(kernels().decode_scratch(cache.positions, d));
            for (int64_t i = a; i < b; ++i) {
                kernels().decode(xp + i * C, cache.keys + i * cache.slot, cache.values + i * cache.slot, yp + i * h * d,
                                 positions[i], cache.positions, heads, scratch.data());
            }
        });
        *out = new at::Tensor(like(*qkv, result));
    });
}

}  // extern "C"
