// The interface of the layers' kernels on a CPU or GPU; `layers.cpp` makes them differentiable.
//
// Shapes: n tokens, c channels, f width of gate or up, d channels of a head, v vocabulary.
#pragma once

#include "shim.h"

struct Layers {
    // silu(gate) * up for x [n, 2f]: gates, then ups.
    virtual at::Tensor swiglu(const at::Tensor& x) const = 0;
    virtual at::Tensor swiglu_backward(const at::Tensor& dy, const at::Tensor& x) const = 0;

    // Rotates the first `heads` heads of x [n, c] by angles [n, d], or back if `sign` is -1.
    virtual at::Tensor rotate(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin, int64_t heads,
                              float sign) const = 0;

    // ln p(target) of logits [n, v] times `scale`, and the logarithms of the sums of exponentials; both [n], in single
    // precision.
    virtual std::pair<at::Tensor, at::Tensor> log_probs(const at::Tensor& logits, const at::Tensor& targets,
                                                        float scale) const = 0;
    virtual at::Tensor log_probs_backward(const at::Tensor& logits, const at::Tensor& targets, const at::Tensor& sums,
                                          const at::Tensor& dy, float scale) const = 0;
};

const Layers& cpu_layers();
const Layers& cuda_layers();
