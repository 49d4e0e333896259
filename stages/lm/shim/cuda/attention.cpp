// Attention on a GPU: of packed rows with the flash kernels, and of newest tokens over a KV cache.
//
// Shapes: n tokens, h query heads, g key heads, d channels of a head, t positions of a slot.
#include "driver.h"

#include <ATen/ops/_flash_attention_backward.h>
#include <ATen/ops/_flash_attention_forward.h>
#include <cmath>
#include <torch/csrc/autograd/custom_function.h>

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

namespace {

// Estimates the time of the backward kernel for `work` pairs of row and head, in units of one pair on one
// multiprocessor. In deterministic mode, the kernel gives each pair so many blocks that there are at least as many
// blocks as multiprocessors, and two blocks cannot share a multiprocessor.
double rounds(int64_t work, int64_t multiprocessors) {
    int64_t blocks = (multiprocessors + work - 1) / work;
    return double((work * blocks + multiprocessors - 1) / multiprocessors) / double(blocks);
}

// Divides `heads` heads of `rows` rows into parts with which the backward kernel leaves few multiprocessors idle.
std::vector<int64_t> parts_of(int64_t heads, int64_t rows, int64_t multiprocessors) {
    // The least time that another call must save: it costs launches, and keys and values are repeated for its heads.
    const double CALL = 0.02;
    if (multiprocessors == 0) return {heads};
    std::vector<double> best(heads + 1, 0);
    std::vector<int64_t> first(heads + 1, 0);
    for (int64_t whole = 1; whole <= heads; ++whole) {
        for (int64_t part = whole; part >= 1; --part) {
            double time = rounds(part * rows, multiprocessors) + CALL + best[whole - part];
            if (part == whole || time < best[whole]) {
                best[whole] = time;
                first[whole] = part;
            }
        }
    }
    std::vector<int64_t> parts;
    for (int64_t left = heads; left > 0; left -= first[left]) parts.push_back(first[left]);
    return parts;
}

struct Flash : torch::autograd::Function<Flash> {
    static at::Tensor forward(AutogradContext* ctx, const at::Tensor& qkv, const at::Tensor& starts, int64_t longest,
                              int64_t h, int64_t g, int64_t d, int64_t window) {
        int64_t n = qkv.size(0);
        std::vector<at::Tensor> parts = qkv.split_with_sizes({h * d, g * d, g * d}, 1);
        auto [before, after] = edges(window);
        auto results = at::_flash_attention_forward(parts[0].view({n, h, d}), parts[1].view({n, g, d}),
                                                    parts[2].view({n, g, d}), starts, starts, longest, longest,
                                                    /*dropout_p=*/0.0, /*is_causal=*/true, /*return_debug_mask=*/false,
                                                    /*scale=*/std::nullopt, before, after);
        const at::Tensor& out = std::get<0>(results);
        ctx->save_for_backward({qkv, starts, out, std::get<1>(results), std::get<2>(results), std::get<3>(results)});
        ctx->saved_data["longest"] = longest;
        ctx->saved_data["h"] = h;
        ctx->saved_data["g"] = g;
        ctx->saved_data["d"] = d;
        ctx->saved_data["window"] = window;
        return out.reshape({n, h * d});
    }

    static variable_list backward(AutogradContext* ctx, variable_list grads) {
        variable_list saved = ctx->get_saved_variables();
        auto number = [&](const char* name) { return ctx->saved_data[name].toInt(); };
        int64_t n = saved[0].size(0), h = number("h"), g = number("g"), d = number("d"), longest = number("longest");
        std::vector<at::Tensor> qkv = saved[0].split_with_sizes({h * d, g * d, g * d}, 1);
        at::Tensor q = qkv[0].view({n, h, d}), dy = grads[0].contiguous().view({n, h, d}), lse = saved[3];
        auto [before, after] = edges(number("window"));
        TORCH_CHECK(lse.dim() == 2, "the flash kernel's sums are those of each head and token");
        std::vector<int64_t> parts = parts_of(h, saved[1].numel() - 1, cuda::multiprocessors(q.device()));
        // If a part has only some heads of a group, keys and values are repeated for each head.
        auto keys = [&](const at::Tensor& x) {
            if (parts.size() == 1) return x.view({n, g, d});
            return x.view({n, g, 1, d}).expand({n, g, h / g, d}).reshape({n, h, d});
        };
        at::Tensor k = keys(qkv[1]), v = keys(qkv[2]);
        std::vector<at::Tensor> dq, dk, dv;
        int64_t first = 0;
        for (int64_t heads : parts) {
            auto of = [&](const at::Tensor& x) { return x.narrow(1, first, heads); };
            auto [to_q, to_k, to_v] = at::_flash_attention_backward(
                of(dy), of(q), parts.size() == 1 ? k : of(k), parts.size() == 1 ? v : of(v), of(saved[2]),
                lse.narrow(0, first, heads), saved[1], saved[1], longest, longest, /*dropout_p=*/0.0,
                /*is_causal=*/true, saved[4], saved[5],
                /*scale=*/std::nullopt, before, after);
            dq.push_back(to_q);
            dk.push_back(to_k);
            dv.push_back(to_v);
            first += heads;
        }
        auto joined = [&](const std::vector<at::Tensor>& parts) {
            at::Tensor whole = parts.size() == 1 ? parts[0] : at::cat(parts, 1).view({n, g, h / g, d}).sum(2);
            return whole.reshape({n, g * d});
        };
        at::Tensor to_q = (dq.size() == 1 ? dq[0] : at::cat(dq, 1)).reshape({n, h * d});
        at::Tensor none;
        return {at::cat({to_q, joined(dk), joined(dv)}, 1), none, none, none, none, none, none};
    }

   private:
    static std::pair<std::optional<int64_t>, std::optional<int64_t>> edges(int64_t window) {
        if (window == 0) return {std::nullopt, std::nullopt};
        return {window - 1, 0};
    }
};

}  // namespace

extern "C" {

// Causal attention of packed rows with the flash kernels: qkv [n, (h + 2g) d] in bf16 or f16; `starts` [rows + 1], the
// start of each row, as 32-bit integers on the GPU; rows of at most `longest` tokens. A window of 0 means no window.
char* r1flow_flash_attention(tensor qkv, tensor starts, int64_t longest, int64_t h, int64_t g, int64_t d,
                             int64_t window, tensor* out) {
    return guarded([&] { *out = new at::Tensor(Flash::apply(*qkv, *starts, longest, h, g, d, window)); });
}

// Attention of each row's newest token, qkv [n, (h + 2g) d] before rotation by its angles [n, d]. Writes the key and
// value of row i to its position [n] in slot i, and attends over the positions up to it. Keys and values are [slots, g,
// t, d]; all positions are below `longest`. A window of 0 means no window.
char* r1flow_cuda_decode(tensor qkv, tensor cos, tensor sin, tensor keys, tensor values, tensor positions,
                         int64_t longest, int64_t h, int64_t g, int64_t d, int64_t window, tensor* out) {
    return guarded([&] {
        // The same as in the kernel (kernels/decode.cu).
        const int64_t SPLIT = 128, CHANNELS = 1024;
        at::Tensor x = qkv->contiguous(), cosines = cos->contiguous(), sines = sin->contiguous();
        int64_t n = x.size(0), t = keys->size(2), together = 8;
        TORCH_CHECK(cos->scalar_type() == x.scalar_type() && sin->scalar_type() == x.scalar_type(),
                    "angles of another type");
        TORCH_CHECK(keys->is_contiguous() && values->is_contiguous() && n <= keys->size(0), "a slot for each row");
        while (together > 1 && (together / 2 >= h / g || together * d > CHANNELS)) together /= 2;
        unsigned splits = static_cast<unsigned>((longest + SPLIT - 1) / SPLIT);
        unsigned blocks = static_cast<unsigned>(g * ((h / g + together - 1) / together));
        int heads = static_cast<int>(h), key_heads = static_cast<int>(g), width = static_cast<int>(d);
        at::Tensor parts = at::empty({n, h, splits, d + 2}, x.options().dtype(at::kFloat));
        at::Tensor joined = at::empty({n, h * d}, x.options());
        cuda::launch(x, {"decode", static_cast<int>(together)}, {splits, blocks, static_cast<unsigned>(n)}, SPLIT,
                     x.const_data_ptr(), cosines.const_data_ptr(), sines.const_data_ptr(), keys->mutable_data_ptr(),
                     values->mutable_data_ptr(), positions->const_data_ptr(), parts.mutable_data_ptr(), heads,
                     key_heads, width, t, window, static_cast<float>(1 / std::sqrt(double(d))));
        cuda::launch(x, {"decode_join"}, {static_cast<unsigned>(n * h)}, 64, parts.const_data_ptr(),
                     joined.mutable_data_ptr(), static_cast<int>(splits), width);
        *out = new at::Tensor(joined);
    });
}

}  // extern "C"
