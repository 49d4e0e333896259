// RMSNorm, SwiGLU and rotary positions on the CPU, and the choice of the kernels' instruction set.
//
// Shapes: n tokens, d width, f width of gate or up.
#include "cpu.h"
#include "layers.h"

#include <ATen/Version.h>
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
        // Our kernels follow libtorch's choice, which ATEN_CPU_CAPABILITY can lower, so that tests can run all of them
        // on one machine.
        const std::string allowed = at::get_cpu_capability();
        if (avx2 && avx512 && allowed == "AVX512") return kernels_avx512;
        if (avx2 && allowed != "DEFAULT") return kernels_avx2;
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
        // Each block of tokens has its own sum for dw, so that the order of sums does not depend on threads.
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

struct CpuLayers final : Layers {
    at::Tensor swiglu(const at::Tensor& input) const override {
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
        return y;
    }

    at::Tensor swiglu_backward(const at::Tensor& grad, const at::Tensor& input) const override {
        at::Tensor dy = dense(grad), x = dense(input);
        int64_t n = x.size(0), f = x.size(1) / 2;
        at::Tensor dx = at::empty_like(x);
        by_element(x, [&](auto elements) {
            auto *dyp = elements.of(dy), *xp = elements.of(x);
            auto* dxp = elements.to(dx);
            at::parallel_for(0, n, grain(8 * f), [&](int64_t a, int64_t b) {
                elements.kernels().swiglu_backward(dyp + a * f, xp + 2 * a * f, dxp + 2 * a * f, b - a, f);
            });
        });
        return dx;
    }

    at::Tensor rotate(const at::Tensor& input, const at::Tensor& cosines, const at::Tensor& sines, int64_t heads,
                      float sign) const override {
        at::Tensor x = dense(input), cos = plain(cosines), sin = plain(sines), y = at::empty_like(x);
        int64_t n = x.size(0), channels = x.size(1), d = cos.size(1);
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

    std::pair<at::Tensor, at::Tensor> log_probs(const at::Tensor& input, const at::Tensor& index,
                                                float s) const override {
        at::Tensor logits = dense(input);
        int64_t n = logits.size(0), v = logits.size(1);
        at::Tensor out = at::empty({n}, floats(logits)), lse = at::empty({n}, floats(logits));
        const int64_t* t = index.const_data_ptr<int64_t>();
        for (int64_t i = 0; i < n; ++i)
            TORCH_CHECK(t[i] >= 0 && t[i] < v, "target ", t[i], " is outside the vocabulary of ", v);
        at::Tensor own = plain(logits.gather(1, index.view({n, 1})));
        const float* o = own.const_data_ptr<float>();
        float *y = out.mutable_data_ptr<float>(), *l = lse.mutable_data_ptr<float>();
        by_element(logits, [&](auto elements) {
            auto* x = elements.of(logits);
            at::parallel_for(0, n, grain(8 * v), [&](int64_t a, int64_t b) {
                for (int64_t i = a; i < b; ++i) {
                    double total = elements.kernels().log_sum_exp(x + i * v, v, s);
                    l[i] = static_cast<float>(total);
                    y[i] = static_cast<float>(static_cast<double>(o[i]) * s - total);
                }
            });
        });
        return {out, lse};
    }

    at::Tensor log_probs_backward(const at::Tensor& input, const at::Tensor& index, const at::Tensor& lse,
                                  const at::Tensor& grad, float s) const override {
        at::Tensor logits = dense(input), dy = plain(grad), dx = at::empty_like(logits);
        int64_t n = logits.size(0), v = logits.size(1);
        const float *l = lse.const_data_ptr<float>(), *g = dy.const_data_ptr<float>();
        const int64_t* t = index.const_data_ptr<int64_t>();
        by_element(logits, [&](auto elements) {
            auto* x = elements.of(logits);
            auto* d = elements.to(dx);
            at::parallel_for(0, n, grain(8 * v), [&](int64_t a, int64_t b) {
                for (int64_t i = a; i < b; ++i)
                    elements.kernels().log_prob_backward(x + i * v, d + i * v, v, t[i], l[i], s, g[i]);
            });
        });
        return dx;
    }
};

}  // namespace

const Layers& cpu_layers() {
    static const CpuLayers layers;
    return layers;
}

extern "C" {

char* r1flow_rms_norm(tensor x, tensor weight, double eps, tensor* out) {
    return guarded([&] { *out = new at::Tensor(RmsNorm::apply(*x, *weight, eps)); });
}

}  // extern "C"
