// Low-rank adapters: a weight W = W0 + scale b a passes its gradient on to a and b, and keeps none.
//
// Our linear layers compute the gradients of a and b from the input x and the gradient dy of the output, with low-rank
// matmuls:
//
//     db += scale dy^T (x a^T)      da += scale (dy b)^T x
//
// With dropout, the adapters read x ⊙ m for a random m, and the weight reads x (PEFT's definition). As W has b a in it,
// the output and the gradient of x get what is missing:
//
//     y += scale ((x ⊙ (m - 1)) a^T) b^T      dx += scale ((dy b) a) ⊙ (m - 1)
//
// A gradient of W from any other operation (a lookup in an embedding) is split when it arrives: db += scale dW a^T,
// da += scale b^T dW.
#pragma once

#include "dropout.h"

#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/function_hook.h>
#include <torch/csrc/autograd/variable.h>

struct Adapters : torch::autograd::PostAccumulateGradHook {
    at::Tensor a, b;
    double scale;
    // The share of inputs that are dropped, and which of all weights' draws these are.
    double dropped;
    uint64_t stream;
    // The number of the current pass, [1]; its owner changes it.
    at::Tensor pass_number;

    Adapters(at::Tensor a, at::Tensor b, double scale, double dropped, uint64_t stream, at::Tensor pass_number)
        : a(std::move(a)), b(std::move(b)), scale(scale), dropped(dropped), stream(stream),
          pass_number(std::move(pass_number)) {}

    // Returns the adapters of a weight, or null.
    static const Adapters* of(const at::Tensor& weight) {
        return dynamic_cast<const Adapters*>(torch::autograd::impl::post_acc_grad_hooks(weight).get());
    }

    void operator()(const torch::autograd::Variable& weight) override {
        // Our linear layers have already passed the gradient on.
        if (!weight.grad().defined()) return;
        c10::NoGradGuard no_grad;
        at::Tensor grad = weight.grad().to(at::kFloat) * scale;
        weight.mutable_grad() = at::Tensor();
        add(a, b.t().mm(grad));
        add(b, grad.mm(a.t()));
    }

    // Both in single precision: x [n, in], which may have been dropped, and dy [n, out].
    void pass(const at::Tensor& x, const at::Tensor& dy) const {
        c10::NoGradGuard no_grad;
        add(b, dy.t().mm(x.mm(a.t())) * scale);
        add(a, (dy.mm(b) * scale).t().mm(x));
    }

    // The number of the current pass. A backward pass needs that of its forward pass: the model may have begun another.
    int64_t current_pass() const { return *pass_number.const_data_ptr<int64_t>(); }

    // What dropout multiplies x by in a pass; undefined without dropout.
    at::Tensor mask(const at::Tensor& x, int64_t pass) const {
        if (dropped == 0.0) return at::Tensor();
        return dropout::mask(x, dropped, dropout::mixed(uint64_t(pass) + dropout::GOLDEN * (stream + 1)));
    }

    // What dropout changes about the output for x, given its mask.
    at::Tensor of_output(const at::Tensor& x, const at::Tensor& mask) const {
        c10::NoGradGuard no_grad;
        return (x.to(at::kFloat) * (mask - 1)).mm(a.t()).mm(b.t()) * scale;
    }

    // What dropout changes about the gradient of x.
    at::Tensor of_input_grad(const at::Tensor& dy, const at::Tensor& mask) const {
        c10::NoGradGuard no_grad;
        return dy.mm(b).mm(a).mul_(scale) * (mask - 1);
    }

   private:
    static void add(const at::Tensor& leaf, at::Tensor grad) {
        if (leaf.grad().defined()) {
            leaf.mutable_grad().add_(grad);
        } else {
            leaf.mutable_grad() = std::move(grad);
        }
    }
};
