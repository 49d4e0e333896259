// Differentiable SwiGLU, rotary positions and log-probabilities, with the kernels of the CPU or of a GPU.
#include "layers.h"

#include <torch/csrc/autograd/custom_function.h>

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

namespace {

const Layers& layers_of(const at::Tensor& x) { return x.is_cuda() ? cuda_layers() : cpu_layers(); }

struct SwiGlu : torch::autograd::Function<SwiGlu> {
    static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x) {
        ctx->save_for_backward({x});
        return layers_of(x).swiglu(x);
    }

    static variable_list backward(AutogradContext* ctx, variable_list grads) {
        at::Tensor x = ctx->get_saved_variables()[0];
        return {layers_of(x).swiglu_backward(grads[0], x)};
    }
};

struct Rotate : torch::autograd::Function<Rotate> {
    static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin,
                              int64_t heads) {
        ctx->save_for_backward({cos, sin});
        ctx->saved_data["heads"] = heads;
        return rotated(x, cos, sin, heads, 1.0f);
    }

    static variable_list backward(AutogradContext* ctx, variable_list grads) {
        variable_list saved = ctx->get_saved_variables();
        at::Tensor dx = rotated(grads[0], saved[0], saved[1], ctx->saved_data["heads"].toInt(), -1.0f);
        return {dx, at::Tensor(), at::Tensor(), at::Tensor()};
    }

   private:
    static at::Tensor rotated(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin, int64_t heads,
                             float sign) {
        int64_t n = x.size(0), d = cos.size(1);
        TORCH_CHECK(cos.size(0) == n && sin.size(0) == n && heads * d <= x.size(1), "angles do not fit the tokens");
        return layers_of(x).rotate(x, cos, sin, heads, sign);
    }
};

struct LogProbs : torch::autograd::Function<LogProbs> {
    static at::Tensor forward(AutogradContext* ctx, const at::Tensor& logits, const at::Tensor& targets, double scale) {
        TORCH_CHECK(targets.scalar_type() == at::kLong && targets.numel() == logits.size(0), logits.size(0),
                    " tokens, ", targets.numel(), " targets");
        at::Tensor index = targets.contiguous();
        auto [out, sums] = layers_of(logits).log_probs(logits, index, static_cast<float>(scale));
        ctx->save_for_backward({logits, index, sums});
        ctx->saved_data["scale"] = scale;
        return out;
    }

    static variable_list backward(AutogradContext* ctx, variable_list grads) {
        variable_list saved = ctx->get_saved_variables();
        float scale = static_cast<float>(ctx->saved_data["scale"].toDouble());
        at::Tensor dx = layers_of(saved[0]).log_probs_backward(saved[0], saved[1], saved[2], grads[0], scale);
        return {dx, at::Tensor(), at::Tensor()};
    }
};

}  // namespace

extern "C" {

char* r1flow_swiglu(tensor x, tensor* out) {
    return guarded([&] { *out = new at::Tensor(SwiGlu::apply(*x)); });
}

char* r1flow_rotate(tensor x, tensor cos, tensor sin, int64_t heads, tensor* out) {
    return guarded([&] { *out = new at::Tensor(Rotate::apply(*x, *cos, *sin, heads)); });
}

char* r1flow_log_probs(tensor logits, tensor targets, double scale, tensor* out) {
    return guarded([&] { *out = new at::Tensor(LogProbs::apply(*logits, *targets, scale)); });
}

}  // extern "C"
