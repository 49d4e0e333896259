// The parts of libtorch that tch 0.24 does not expose: fused AdamW, foreach operations, gradients as tensors,
// deterministic mode. The norm of gradients on a CPU is our own, with the same result for any number of threads.
#include "adapters.h"
#include "cpu.h"

#include <ATen/Context.h>
#include <ATen/TensorIndexing.h>
#include <ATen/Version.h>
#include <c10/core/GradMode.h>
#include <ATen/ops/_foreach_add.h>
#include <ATen/ops/_foreach_mul.h>
#include <ATen/ops/_foreach_norm.h>
#include <ATen/ops/_fused_adamw.h>
#include <algorithm>
#include <cmath>
#include <numeric>
#include <torch/csrc/autograd/variable.h>

namespace {

// Numbers in a piece of the norm's sum.
const int64_t PIECE = 1 << 14;

bool are_plain(const std::vector<at::Tensor>& list) {
    auto is_plain = [](const at::Tensor& x) {
        return x.device().is_cpu() && x.scalar_type() == at::kFloat && x.is_contiguous();
    };
    return std::all_of(list.begin(), list.end(), is_plain);
}

// Sums each piece, then the pieces in order, so that the result is the same for any number of threads.
double norm_of(const std::vector<at::Tensor>& list) {
    std::vector<std::pair<const float*, int64_t>> pieces;
    for (const at::Tensor& x : list) {
        const float* values = x.const_data_ptr<float>();
        for (int64_t at = 0; at < x.numel(); at += PIECE)
            pieces.emplace_back(values + at, std::min(PIECE, x.numel() - at));
    }
    std::vector<double> squares(pieces.size());
    at::parallel_for(0, pieces.size(), grain(PIECE), [&](int64_t a, int64_t b) {
        for (int64_t i = a; i < b; ++i) squares[i] = kernels().squares(pieces[i].first, pieces[i].second);
    });
    return std::sqrt(std::accumulate(squares.begin(), squares.end(), 0.0));
}

// Turns deterministic mode off while it lives.
struct AnyOrder {
    AnyOrder() : before(at::globalContext().deterministicAlgorithms()) { set(false); }
    AnyOrder(const AnyOrder&) = delete;
    ~AnyOrder() { set(before); }

   private:
    static void set(bool on) { at::globalContext().setDeterministicAlgorithms(on, /*warn_only=*/false); }
    bool before;
};

}  // namespace

extern "C" {

void r1flow_free(char* message) { std::free(message); }

// Returns the instruction set of libtorch's own kernels, as a string to be freed with r1flow_free; nullptr if out of
// memory.
char* r1flow_cpu_capability() { return message_of(at::get_cpu_capability().c_str()); }

// One AdamW step over all parameters that have a gradient. `step` is a float tensor of one element, which the caller
// increments once per optimiser step.
char* r1flow_fused_adamw(tensor* params, tensor* grads, tensor* exp_avgs, tensor* exp_avg_sqs, int64_t count, tensor step,
                         double lr, double beta1, double beta2, double weight_decay, double eps) {
    return guarded([&] {
        c10::NoGradGuard no_grad;
        std::vector<at::Tensor> steps(count, *step);
        at::_fused_adamw_(list_of(params, count), list_of(grads, count), list_of(exp_avgs, count),
                          list_of(exp_avg_sqs, count), {}, steps, lr, beta1, beta2, weight_decay, eps,
                          /*amsgrad=*/false, /*maximize=*/false);
    });
}

// The Euclidean norm of all tensors as one vector.
char* r1flow_norm(tensor* tensors, int64_t count, double* norm) {
    return guarded([&] {
        c10::NoGradGuard no_grad;
        std::vector<at::Tensor> list = list_of(tensors, count);
        *norm = are_plain(list) ? norm_of(list) : at::stack(at::_foreach_norm(list, 2.0, at::kFloat)).norm().item<double>();
    });
}

char* r1flow_scale_(tensor* tensors, int64_t count, double factor) {
    return guarded([&] {
        c10::NoGradGuard no_grad;
        std::vector<at::Tensor> list = list_of(tensors, count);
        at::_foreach_mul_(list, factor);
    });
}

// Drops the gradients, so that the next backward pass stores gradients instead of adding them.
char* r1flow_drop_grads(tensor* tensors, int64_t count) {
    return guarded([&] {
        for (int64_t i = 0; i < count; ++i) tensors[i]->mutable_grad() = at::Tensor();
    });
}

// Writes `values` [n, g, d] to (slot, position) pairs of `into` [s, g, t, d]. All pairs must be distinct, which makes
// the sort of deterministic mode unnecessary.
char* r1flow_put(tensor into, tensor slots, tensor positions, tensor values) {
    return guarded([&] {
        c10::NoGradGuard no_grad;
        AnyOrder any;
        into->index_put_({*slots, at::indexing::Slice(), *positions}, *values);
    });
}

// Runs the backward pass from `output` with the given gradient of the loss with respect to it.
char* r1flow_backward_from(tensor output, tensor grad) {
    return guarded([&] { output->backward(*grad); });
}

// Makes these leaves accumulate their gradients in single precision, whatever their own type.
char* r1flow_grads_in_single(tensor* tensors, int64_t count) {
    return guarded([&] {
        for (int64_t i = 0; i < count; ++i) tensors[i]->set_grad_dtype(at::kFloat);
    });
}

// From now on, the gradient of `weight`, which is W0 + scale b a, goes to the adapters a and b. A share `dropped` of
// their inputs is dropped in each pass, drawn from the pass's number and `stream`.
char* r1flow_adapt(tensor weight, tensor a, tensor b, double scale, double dropped, uint64_t stream, tensor pass_number) {
    return guarded([&] {
        TORCH_CHECK(pass_number->numel() == 1 && pass_number->scalar_type() == at::kLong && pass_number->is_cpu());
        auto adapters = std::make_unique<Adapters>(*a, *b, scale, dropped, stream, *pass_number);
        torch::autograd::impl::set_post_acc_grad_hooks(*weight, std::move(adapters));
    });
}

// Turns deterministic mode on or off: operations whose result depends on the order of threads are replaced or refused.
// Attention then does not use cuDNN, whose choice of kernel depends on the card. The filling of new memory, part of
// libtorch's mode, is off, because no operation here reads memory before it is written.
char* r1flow_set_deterministic(int on) {
    return guarded([&] {
        at::globalContext().setDeterministicAlgorithms(on != 0, /*warn_only=*/false);
        at::globalContext().setDeterministicFillUninitializedMemory(false);
        at::globalContext().setSDPUseCuDNN(on == 0);
    });
}

}  // extern "C"
