// The kernels of layers on a GPU, including norms and sampling.
//
// Shapes: n tokens, f width of gate or up, d channels of a head, v vocabulary.
#include "../layers.h"
#include "driver.h"

#include <torch/csrc/autograd/custom_function.h>

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

namespace {

// Returns a contiguous tensor aligned to sixteen bytes, because kernels read sixteen bytes at a time.
at::Tensor packed(const at::Tensor& x) {
    at::Tensor dense = x.contiguous();
    return reinterpret_cast<uintptr_t>(dense.const_data_ptr()) % 16 == 0 ? dense : dense.clone();
}

cuda::Grid one_each(int64_t n) { return {static_cast<unsigned>(n)}; }

// Returns the number of threads for a row of `elements` elements, of which each thread reads `at_once` at a time.
unsigned threads_for(int64_t elements, const at::Tensor& x, int64_t most) {
    int64_t at_once = 16 / x.element_size(), warps = (elements / at_once + 31) / 32;
    return static_cast<unsigned>(32 * std::max<int64_t>(1, std::min(warps, most / 32)));
}

// Returns the norm; stores 1 / rms in `inverses`, [n], for the backward pass, if it is defined.
at::Tensor normed(const at::Tensor& x, const at::Tensor& weight, double eps, at::Tensor inverses) {
    int64_t d = x.size(-1);
    TORCH_CHECK(weight.numel() == d && weight.scalar_type() == x.scalar_type(), "a norm of another width or type");
    at::Tensor y = at::empty_like(x);
    cuda::launch(x, {"rms_norm"}, one_each(x.numel() / d), threads_for(d, x, 256), x.const_data_ptr(),
                 weight.const_data_ptr(), y.mutable_data_ptr(),
                 inverses.defined() ? inverses.mutable_data_ptr() : nullptr, d, static_cast<float>(eps));
    return y;
}

struct RmsNorm : torch::autograd::Function<RmsNorm> {
    static variable_list forward(AutogradContext* ctx, const at::Tensor& input, const at::Tensor& weight, double eps) {
        at::Tensor x = packed(input);
        at::Tensor inverses = at::empty({x.numel() / x.size(-1)}, x.options().dtype(at::kFloat));
        at::Tensor y = normed(x, packed(weight), eps, inverses);
        ctx->save_for_backward({input, weight, inverses});
        return {input, y};
    }

    static variable_list backward(AutogradContext* ctx, variable_list grads) {
        if (!grads[1].defined()) return {grads[0], at::Tensor(), at::Tensor()};
        variable_list saved = ctx->get_saved_variables();
        at::Tensor x = packed(saved[0]), weight = packed(saved[1]), dy = packed(grads[1]), dx = at::empty_like(x);
        at::Tensor through = grads[0].defined() ? packed(grads[0]) : at::Tensor();
        int64_t d = x.size(-1), n = x.numel() / d, rows = std::max<int64_t>(16, (n + 1023) / 1024);
        at::Tensor parts = at::empty({(n + rows - 1) / rows, d}, saved[2].options());
        cuda::launch(x, {"rms_norm_backward"}, one_each(parts.size(0)), threads_for(d, x, 1024), x.const_data_ptr(),
                     weight.const_data_ptr(), saved[2].const_data_ptr(), dy.const_data_ptr(),
                     through.defined() ? through.const_data_ptr() : nullptr, dx.mutable_data_ptr(),
                     parts.mutable_data_ptr(), n, d, rows);
        return {dx, ctx->needs_input_grad(1) ? parts.sum(0) : at::Tensor(), at::Tensor()};
    }
};

struct CudaLayers final : Layers {
    at::Tensor swiglu(const at::Tensor& input) const override {
        at::Tensor x = packed(input);
        int64_t n = x.size(0), f = x.size(1) / 2;
        at::Tensor y = at::empty({n, f}, x.options());
        cuda::launch(x, {"swiglu_forward"}, one_each(n), threads_for(f, x, 512), x.const_data_ptr(),
                     y.mutable_data_ptr(), f);
        return y;
    }

    at::Tensor swiglu_backward(const at::Tensor& grad, const at::Tensor& input) const override {
        at::Tensor dy = packed(grad), x = packed(input), dx = at::empty_like(x);
        int64_t n = x.size(0), f = x.size(1) / 2;
        cuda::launch(x, {"swiglu_backward"}, one_each(n), threads_for(f, x, 512), dy.const_data_ptr(),
                     x.const_data_ptr(), dx.mutable_data_ptr(), f);
        return dx;
    }

    at::Tensor rotate(const at::Tensor& input, const at::Tensor& cosines, const at::Tensor& sines, int64_t heads,
                      float sign) const override {
        at::Tensor x = packed(input), cos = packed(cosines), sin = packed(sines), y = at::empty_like(x);
        TORCH_CHECK(cos.scalar_type() == x.scalar_type() && sin.scalar_type() == x.scalar_type(),
                    "angles of another type");
        int64_t n = x.size(0), channels = x.size(1), d = cos.size(1);
        cuda::launch(x, {"rotate"}, one_each(n), threads_for(channels, x, 512), x.const_data_ptr(),
                     cos.const_data_ptr(), sin.const_data_ptr(), y.mutable_data_ptr(), channels,
                     static_cast<int>(heads), static_cast<int>(d), sign);
        return y;
    }

    std::pair<at::Tensor, at::Tensor> log_probs(const at::Tensor& input, const at::Tensor& targets,
                                                float scale) const override {
        at::Tensor logits = packed(input);
        int64_t n = logits.size(0), v = logits.size(1);
        at::Tensor out = at::empty({n}, logits.options().dtype(at::kFloat)), sums = at::empty_like(out);
        cuda::launch(logits, {"log_probs"}, one_each(n), threads_for(v, logits, 1024), logits.const_data_ptr(),
                     targets.const_data_ptr(), out.mutable_data_ptr(), sums.mutable_data_ptr(), v, scale);
        return {out, sums};
    }

    at::Tensor log_probs_backward(const at::Tensor& input, const at::Tensor& targets, const at::Tensor& sums,
                                  const at::Tensor& grad, float scale) const override {
        at::Tensor logits = packed(input), dy = grad.to(at::kFloat).contiguous(), dx = at::empty_like(logits);
        int64_t n = logits.size(0), v = logits.size(1);
        cuda::launch(logits, {"log_probs_backward"}, one_each(n), threads_for(v, logits, 1024), logits.const_data_ptr(),
                     targets.const_data_ptr(), sums.const_data_ptr(), dy.const_data_ptr(), dx.mutable_data_ptr(), v,
                     scale);
        return dx;
    }
};

}  // namespace

const Layers& cuda_layers() {
    static const CudaLayers layers;
    return layers;
}

extern "C" {

// Compiles the kernels for GPU `index`, or returns the error.
char* r1flow_cuda_prepare(int64_t index) {
    return guarded([&] { cuda::prepare(c10::Device(at::kCUDA, static_cast<c10::DeviceIndex>(index))); });
}

// Returns the residual stream x, and its RMSNorm over the last dimension. Use the returned residual, not x itself: its
// gradient is then fused with the norm's in the backward pass.
char* r1flow_cuda_rms_norm(tensor x, tensor weight, double eps, tensor* residual, tensor* out) {
    return guarded([&] {
        if (!at::GradMode::is_enabled()) {
            *out = new at::Tensor(normed(packed(*x), packed(*weight), eps, at::Tensor()));
            *residual = new at::Tensor(*x);
            return;
        }
        variable_list both = RmsNorm::apply(*x, *weight, eps);
        *residual = new at::Tensor(both[0]);
        *out = new at::Tensor(both[1]);
    });
}

// Draws a token for each row of logits * scale by its uniform number, [n] in double precision, or takes the likeliest
// if `uniforms` is null. Returns tokens and their log-probabilities, [n, 2] in double precision.
char* r1flow_cuda_sample(tensor logits, tensor uniforms, double scale, tensor* out) {
    return guarded([&] {
        at::Tensor x = packed(*logits), given = uniforms ? uniforms->contiguous() : at::Tensor();
        int64_t n = x.size(0), v = x.size(1);
        TORCH_CHECK(!uniforms || (given.numel() == n && given.scalar_type() == at::kDouble),
                    "a uniform number for each row");
        at::Tensor drawn = at::empty({n, 2}, x.options().dtype(at::kDouble));
        cuda::launch(x, {"sample"}, one_each(n), threads_for(v, x, 1024), x.const_data_ptr(),
                     uniforms ? given.const_data_ptr() : nullptr, drawn.mutable_data_ptr(), v,
                     static_cast<float>(scale));
        *out = new at::Tensor(drawn);
    });
}

}  // extern "C"
