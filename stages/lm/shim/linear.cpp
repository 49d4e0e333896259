// Several linear layers of the same input as one matmul.
//
// The weights of, say, q_proj, k_proj and v_proj keep their names and gradients, but are contiguous in one buffer,
// `fused`. Forward and backward passes then take one matmul each instead of one per layer. This uses at:: operations,
// so it works on every device.
#include "adapters.h"
#include "cpu.h"

#include <torch/csrc/autograd/custom_function.h>
#include <torch/csrc/autograd/generated/variable_factories.h>

using torch::autograd::AutogradContext;
using torch::autograd::Variable;
using torch::autograd::variable_list;

namespace {

// Returns whether bf16 matmuls are computed in single precision. On a processor without the instructions that oneDNN
// needs, they would be plain loops, ten times slower than converting both sides.
bool widens(const at::Tensor& x) {
#ifdef R1FLOW_X86_64
    static const bool wide = !(__builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
                               __builtin_cpu_supports("avx512dq"));
    return wide && x.device().is_cpu() && x.scalar_type() == at::kBFloat16;
#else
    return false;
#endif
}

at::Tensor wide(const at::Tensor& x) { return widens(x) ? x.to(at::kFloat) : x; }

// x w^T + bias for any number of tokens.
at::Tensor many(const at::Tensor& x, const at::Tensor& w, const std::optional<at::Tensor>& bias) {
    if (!widens(x)) return at::linear(x, w, bias);
    std::optional<at::Tensor> wide_bias;
    if (bias) wide_bias = wide(*bias);
    return at::linear(wide(x), wide(w), wide_bias).to(x.scalar_type());
}

// Up to this many tokens, a kernel of ours reads the matrix once; MKL reads it at a third of the memory bandwidth.
const int64_t FEW = 4;

bool is_few(const at::Tensor& x, const at::Tensor& w) {
    return x.dim() == 2 && x.size(0) <= FEW && x.size(0) > 0 && x.device().is_cpu() && x.scalar_type() == at::kFloat &&
           w.scalar_type() == at::kFloat && w.is_contiguous() && !at::GradMode::is_enabled();
}

// y += x w^T
void add_few(at::Tensor& y, const at::Tensor& x, const at::Tensor& w) {
    at::Tensor from = plain(x);
    int64_t rows = w.size(0), d = w.size(1), n = from.size(0);
    TORCH_CHECK(from.size(1) == d && y.is_contiguous() && y.size(0) == n && y.size(1) == rows, "shapes do not fit");
    const float *wp = w.const_data_ptr<float>(), *xp = from.const_data_ptr<float>();
    float* yp = y.mutable_data_ptr<float>();
    at::parallel_for(0, rows, grain(d * n), [&](int64_t a, int64_t b) {
        kernels().few_token_matmul(wp + a * d, xp, yp + a, b - a, d, n, rows);
    });
}

// x w^T + bias, without our own backward pass.
at::Tensor bare_matmul(const at::Tensor& x, const at::Tensor& w, const std::optional<at::Tensor>& bias) {
    if (!is_few(x, w)) return many(x, w, bias);
    at::Tensor y = at::zeros({x.size(0), w.size(0)}, x.options());
    if (bias) y.copy_(*bias);
    add_few(y, x, w);
    return y;
}

// y = x fused^T + fused_bias. The inputs after `fused_bias` are the leaves that get the gradients: first all weights,
// then as many biases or none.
struct FusedLinear : torch::autograd::Function<FusedLinear> {
    static Variable forward(AutogradContext* ctx, const Variable& x, const at::Tensor& fused,
                            const std::optional<at::Tensor>& fused_bias, at::TensorList parts, int64_t num_weights) {
        ctx->save_for_backward({x});
        // Not saved as a variable: autograd checks the leaves, which share this storage.
        ctx->saved_data["fused"] = fused;
        ctx->saved_data["weights"] = std::vector<at::Tensor>(parts.begin(), parts.begin() + num_weights);
        ctx->saved_data["frozen"] =
            std::none_of(parts.begin(), parts.end(), [](const at::Tensor& part) { return part.requires_grad(); });
        ctx->saved_data["biases"] = fused_bias.has_value();
        // Not `bare_matmul`: gradients are off inside this function, so training would use the kernel for few tokens.
        at::Tensor y = many(x, fused, fused_bias);
        int64_t start = 0, pass = 0;
        for (int64_t i = 0; i < num_weights; ++i) {
            int64_t rows = parts[i].size(0);
            if (const Adapters* adapters = Adapters::of(parts[i])) {
                pass = adapters->current_pass();
                at::Tensor mask = adapters->mask(x, pass);
                if (mask.defined()) y.narrow(1, start, rows).add_(adapters->of_output(x, mask));
            }
            start += rows;
        }
        ctx->saved_data["pass"] = pass;
        return y;
    }

    static variable_list backward(AutogradContext* ctx, variable_list grads) {
        at::Tensor x = ctx->get_saved_variables()[0];
        at::Tensor fused = ctx->saved_data["fused"].toTensor();
        std::vector<at::Tensor> weights = ctx->saved_data["weights"].toTensorVector();
        bool biases = ctx->saved_data["biases"].toBool();
        at::Tensor dy = wide(grads[0].contiguous());
        at::Tensor dx = ctx->needs_input_grad(0) ? dy.mm(wide(fused)) : at::Tensor();
        variable_list result(3);
        if (ctx->saved_data["frozen"].toBool()) {
            if (dx.defined()) result[0] = dx.to(x.scalar_type());
            result.resize(result.size() + (biases ? 2 : 1) * weights.size() + 1);
            return result;
        }
        int64_t pass = ctx->saved_data["pass"].toInt();
        for (at::Tensor& dw : of_weights(x, dy, weights, pass, dx)) result.push_back(std::move(dw));
        if (dx.defined()) result[0] = dx.to(x.scalar_type());
        if (biases) {
            at::Tensor db = dy.sum(0);
            int64_t start = 0;
            for (const at::Tensor& weight : weights) {
                result.push_back(db.narrow(0, start, weight.size(0)));
                start += weight.size(0);
            }
        }
        result.push_back(at::Tensor());
        return result;
    }

    // Returns the gradient of each weight; undefined where it went to adapters. Adds what their dropout changes about
    // `dx`, if that is defined.
    static variable_list of_weights(const at::Tensor& x, const at::Tensor& dy, const std::vector<at::Tensor>& weights,
                                    int64_t pass, at::Tensor& dx) {
        if (std::none_of(weights.begin(), weights.end(), Adapters::of)) {
            at::Tensor dw = dy.t().mm(wide(x));
            variable_list grads;
            int64_t start = 0;
            for (const at::Tensor& weight : weights) {
                grads.push_back(dw.narrow(0, start, weight.size(0)));
                start += weight.size(0);
            }
            return grads;
        }
        at::Tensor from = x.to(at::kFloat);
        variable_list grads(weights.size());
        int64_t start = 0;
        for (size_t i = 0; i < weights.size(); ++i) {
            at::Tensor part = dy.narrow(1, start, weights[i].size(0));
            start += weights[i].size(0);
            if (const Adapters* adapters = Adapters::of(weights[i])) {
                at::Tensor own = part.to(at::kFloat), mask = adapters->mask(x, pass);
                if (mask.defined() && dx.defined()) dx = dx + adapters->of_input_grad(own, mask);
                adapters->pass(mask.defined() ? from * mask : from, own);
            } else if (weights[i].requires_grad()) {
                grads[i] = part.t().mm(wide(x));
            }
        }
        return grads;
    }
};

// x w^T for a weight that is a leaf itself.
at::Tensor leaf_matmul(const at::Tensor& x, const at::Tensor& w) {
    // libtorch's own backward pass would keep the converted weight, and compute the full gradient of an adapted one.
    if (!at::GradMode::is_enabled() || !(widens(x) || Adapters::of(w))) return bare_matmul(x, w, std::nullopt);
    return FusedLinear::apply(x, w.detach(), std::nullopt, at::TensorList(w), 1);
}

}  // namespace

extern "C" {

// x w^T; for a head, whose weight is a leaf itself.
char* r1flow_linear(tensor x, tensor w, tensor* out) {
    return guarded([&] { *out = new at::Tensor(leaf_matmul(*x, *w)); });
}

char* r1flow_fused_linear(tensor x, tensor fused, tensor fused_bias, tensor* parts, int64_t num_parts,
                          int64_t num_weights, tensor* out) {
    return guarded([&] {
        std::optional<at::Tensor> bias;
        if (fused_bias) bias = *fused_bias;
        if (at::GradMode::is_enabled()) {
            std::vector<at::Tensor> list = list_of(parts, num_parts);
            *out = new at::Tensor(FusedLinear::apply(*x, *fused, bias, at::TensorList(list), num_weights));
        } else {
            *out = new at::Tensor(bare_matmul(*x, *fused, bias));
        }
    });
}

// x + a w^T + bias in one matmul. If no gradient is needed, overwrites x and returns it.
char* r1flow_linear_add(tensor x, tensor a, tensor w, tensor bias, tensor* out) {
    return guarded([&] {
        if (widens(*a) || (at::GradMode::is_enabled() && Adapters::of(*w))) {
            *out = new at::Tensor(at::add(*x, leaf_matmul(*a, *w)));
        } else if (at::GradMode::is_enabled()) {
            *out = new at::Tensor(at::addmm(*x, *a, w->t()));
        } else if (is_few(*a, *w) && x->is_contiguous()) {
            add_few(*x, *a, *w);
            *out = new at::Tensor(*x);
        } else {
            *out = new at::Tensor(x->addmm_(*a, w->t()));
        }
        if (bias) **out = at::add(**out, *bias);
    });
}

}  // extern "C"
