// RMSNorm, SwiGLU and rotary positions on the CPU, and the choice of the kernels' instruction set.
//
// Shapes: n tokens, d width, f width of gate or up.
#include "cpu.h"

#include <torch/csrc/autograd/custom_function.h>

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

extern const Kernels kernels_baseline;
#ifdef R1FLOW_X86_64
extern const Kernels kernels_avx2;
extern const Kernels kernels_avx512;
#endif

const Kernels& kernels() {
    static const Kernels& best = []() -> const Kernels& {
#ifdef R1FLOW_X86_64
        __builtin_cpu_init();
        bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
        bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
                      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw");
        if (avx2 && avx512) return kernels_avx512;
        if (avx2) return kernels_avx2;
#endif
        return kernels_baseline;
    }();
    return best;
}

namespace {

struct RmsNorm : torch::autograd::Function<RmsNorm> {
    static at::Tensor forward(AutogradContext* ctx, const at::Tensor& input, const at::Tensor& weight, double eps) {
        at::Tensor x = dense(input), w = plain(weight);
        int64_t d = w.numel(), n = x.numel() / d;
        TORCH_CHECK(x.size(-1) == d, "a norm of width ", d, " got ", x.size(-1));
        at::Tensor y = at::empty_like(x), inverse = at::empty({n}, w.options());
        const float* wp = w.const_data_ptr<float>();
        float* rp = inverse.mutable_data_ptr<float>();
        by_element(x, [&](auto elements) {
            auto* xp = elements.of(x);
            auto* yp = elements.to(y);
            at::parallel_for(0, n, grain(d), [&](int64_t a, int64_t b) {
                elements.kernels().norm_forward(xp + a * d, wp, yp + a * d, rp + a, b - a, d, static_cast<float>(eps));
            });
        });
        ctx->save_for_backward({input, weight, inverse});
        return y;
    }

    static variable_list backward(AutogradContext* ctx, variable_list grads) {
        variable_list saved = ctx->get_saved_variables();
        at::Tensor dy = dense(grads[0]), x = dense(saved[0]), w = plain(saved[1]);
        int64_t d = w.numel(), n = x.numel() / d;
        // Each block of tokens has its own sum for dw, whichever thread works on it: the order stays the same.
        const int64_t block = 1024;
        int64_t blocks = (n + block - 1) / block;
        at::Tensor dx = at::empty_like(x), partial = at::zeros({std::max<int64_t>(blocks, 1), d}, w.options());
        const float *wp = w.const_data_ptr<float>(), *rp = saved[2].const_data_ptr<float>();
        float* pp = partial.mutable_data_ptr<float>();
        by_element(x, [&](auto elements) {
            auto *dyp = elements.of(dy), *xp = elements.of(x);
            auto* dxp = elements.to(dx);
            at::parallel_for(0, blocks, grain(d * block), [&](int64_t a, int64_t b) {
                for (int64_t k = a; k < b; ++k) {
                    int64_t start = k * block, count = std::min(block, n - start);
                    elements.kernels().norm_backward(dyp + start * d, xp + start * d, wp, rp + start, dxp + start * d,
                                                     pp + k * d, count, d);
                }
            });
        });
        return {dx, blocks <= 1 ? partial.view({d}) : partial.sum(0), at::Tensor()};
    }
};

struct SwiGlu : torch::autograd::Function<SwiGlu> {
    static at::Tensor forward(AutogradContext* ctx, const at::Tensor& input) {
        at::Tensor x = dense(input);
        int64_t n = x.size(0), f = x.size(1) / 2;
        at::Tensor y = at::empty({n, f}, x.options());
        by_element(x, [&](auto elements) {
            auto* xp = elements.of(x);
            auto* yp = elements.to(y);
            at::parallel_for(0, n, grain(8 * f), [&](int64_t a, int64_t b) {
                elements.kernels().swiglu_forward(xp + 2 * a * f, yp + a * f, b - a, f);
            });
        });
        ctx->save_for_backward({input});
        return y;
    }

    static variable_list backward(AutogradContext* ctx, variable_list grads) {
        at::Tensor dy = dense(grads[0]), x = dense(ctx->get_saved_variables()[0]);
        int64_t n = x.size(0), f = x.size(1) / 2;
        at::Tensor dx = at::empty_like(x);
        by_element(x, [&](auto elements) {
            auto *dyp = elements.of(dy), *xp = elements.of(x);
            auto* dxp = elements.to(dx);
            at::parallel_for(0, n, grain(8 * f), [&](int64_t a, int64_t b) {
                elements.kernels().swiglu_backward(dyp + a * f, xp + 2 * a * f, dxp + 2 * a * f, b - a, f);
            });
        });
        return {dx};
    }
};

at::Tensor rotated(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin, int64_t heads, float sign) {
    int64_t n = x.size(0), channels = x.size(1), d = cos.size(1);
    TORCH_CHECK(cos.size(0) == n && sin.size(0) == n && heads * d <= channels, "angles do not fit the tokens");
    at::Tensor y = at::empty_like(x);
    const float *cp = cos.const_data_ptr<float>(), *sp = sin.const_data_ptr<float>();
    by_element(x, [&](auto elements) {
        auto* xp = elements.of(x);
        auto* yp = elements.to(y);
        at::parallel_for(0, n, grain(channels), [&](int64_t a, int64_t b) {
            elements.kernels().rotate(xp + a * channels, cp + a * d, sp + a * d, yp + a * channels, b - a, channels,
                                      heads, d, sign);
        });
    });
    return y;
}

struct Rotate : torch::autograd::Function<Rotate> {
    static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin,
                              int64_t heads) {
        ctx->save_for_backward({cos, sin});
        ctx->saved_data["heads"] = heads;
        return rotated(dense(x), plain(cos), plain(sin), heads, 1.0f);
    }

    static variable_list backward(AutogradContext* ctx, variable_list grads) {
        variable_list saved = ctx->get_saved_variables();
        at::Tensor cos = plain(saved[0]), sin = plain(saved[1]);
        at::Tensor dx = rotated(dense(grads[0]), cos, sin, ctx->saved_data["heads"].toInt(), -1.0f);
        return {dx, at::Tensor(), at::Tensor(), at::Tensor()};
    }
};

}  // namespace

extern "C" {

char* r1flow_rms_norm(tensor x, tensor weight, double eps, tensor* out) {
    return guarded([&] { *out = new at::Tensor(RmsNorm::apply(*x, *weight, eps)); });
}

char* r1flow_swiglu(tensor x, tensor* out) {
    return guarded([&] { *out = new at::Tensor(SwiGlu::apply(*x)); });
}

char* r1flow_rotate(tensor x, tensor cos, tensor sin, int64_t heads, tensor* out) {
    return guarded([&] { *out = new at::Tensor(Rotate::apply(*x, *cos, *sin, heads)); });
}

}  // extern "C"
