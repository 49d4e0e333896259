// Low-rank adapters: a weight W = W0 + scale b a passes its gradient on to a and b, and keeps none.
//
// Our linear layers compute the gradients of a and b from the input x and the gradient dy of the output, with low-rank
// matmuls:
//
//     db += scale dy^T (x a^T)      da += scale (dy b)^T x
//
// A gradient of W from any other operation is split when it arrives: db += scale dW a^T, da += scale b^T dW.
#pragma once

#include "shim.h"

#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/function_hook.h>
#include <torch/csrc/autograd/variable.h>

struct Adapters : torch::autograd::PostAccumulateGradHook {
    at::Tensor a, b;
    double scale;

    Adapters(at::Tensor a, at::Tensor b, double scale) : a(std::move(a)), b(std::move(b)), scale(scale) {}

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

    // Both in single precision: x [n, in], dy [n, out].
    void pass(const at::Tensor& x, const at::Tensor& dy) const {
        c10::NoGradGuard no_grad;
        add(b, dy.t().mm(x.mm(a.t())) * scale);
        add(a, (dy.mm(b) * scale).t().mm(x));
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
