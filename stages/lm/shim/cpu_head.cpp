// From logits to log-probabilities and tokens on the CPU. Shapes: n tokens, v vocabulary.
#include "cpu.h"

#include <cmath>
#include <torch/csrc/autograd/custom_function.h>
#include <vector>

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

namespace {

struct LogProbs : torch::autograd::Function<LogProbs> {
    static at::Tensor forward(AutogradContext* ctx, const at::Tensor& input, const at::Tensor& targets, double scale) {
        at::Tensor logits = dense(input), index = targets.contiguous();
        int64_t n = logits.size(0), v = logits.size(1);
        TORCH_CHECK(index.numel() == n, n, " tokens, ", index.numel(), " targets");
        at::Tensor out = at::empty({n}, floats(logits)), lse = at::empty({n}, floats(logits));
        const int64_t* t = index.const_data_ptr<int64_t>();
        for (int64_t i = 0; i < n; ++i)
            TORCH_CHECK(t[i] >= 0 && t[i] < v, "target ", t[i], " is outside the vocabulary of ", v);
        at::Tensor own = plain(logits.gather(1, index.view({n, 1})));
        const float* o = own.const_data_ptr<float>();
        float *y = out.mutable_data_ptr<float>(), *l = lse.mutable_data_ptr<float>(), s = static_cast<float>(scale);
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
        ctx->save_for_backward({input, index, lse});
        ctx->saved_data["scale"] = scale;
        return out;
    }

    static variable_list backward(AutogradContext* ctx, variable_list grads) {
        variable_list saved = ctx->get_saved_variables();
        at::Tensor logits = dense(saved[0]), dy = plain(grads[0]), dx = at::empty_like(logits);
        int64_t n = logits.size(0), v = logits.size(1);
        const float *l = saved[2].const_data_ptr<float>(), *g = dy.const_data_ptr<float>();
        const int64_t* t = saved[1].const_data_ptr<int64_t>();
        float s = static_cast<float>(ctx->saved_data["scale"].toDouble());
        by_element(logits, [&](auto elements) {
            auto* x = elements.of(logits);
            auto* d = elements.to(dx);
            at::parallel_for(0, n, grain(8 * v), [&](int64_t a, int64_t b) {
                for (int64_t i = a; i < b; ++i)
                    elements.kernels().log_prob_backward(x + i * v, d + i * v, v, t[i], l[i], s, g[i]);
            });
        });
        return {dx, at::Tensor(), at::Tensor()};
    }
};

// The first entry at which the cumulated weight exceeds `threshold`; the last one with any weight if none does.
int64_t invert(const float* weights, const float* sums, int64_t v, double threshold) {
    double before = 0;
    for (int64_t start = 0, block = 0; start < v; start += BLOCK, ++block) {
        if (before + sums[block] > threshold) {
            double sum = before;
            for (int64_t c = start; c < std::min(v, start + BLOCK); ++c) {
                sum += weights[c];
                if (sum > threshold) return c;
            }
        }
        before += sums[block];
    }
    int64_t last = v - 1;
    while (last > 0 && !(weights[last] > 0)) --last;
    return last;
}

int64_t likeliest(const float* x, int64_t v) {
    int64_t best = 0;
    for (int64_t c = 1; c < v; ++c)
        if (x[c] > x[best]) best = c;
    return best;
}

}  // namespace

extern "C" {

// ln p(target) of logits * scale, [n]; differentiable.
char* r1flow_log_probs(tensor logits, tensor targets, double scale, tensor* out) {
    return guarded([&] { *out = new at::Tensor(LogProbs::apply(*logits, *targets, scale)); });
}

// Draws a token for each row of logits * scale by its uniform number, or takes the likeliest where `greedy`.
char* r1flow_sample(tensor logits, double scale, int greedy, const float* uniforms, int64_t* tokens, float* log_probs) {
    return guarded([&] {
        at::Tensor x = plain(*logits);
        int64_t n = x.size(0), v = x.size(1), blocks = (v + BLOCK - 1) / BLOCK;
        const float* xp = x.const_data_ptr<float>();
        float s = static_cast<float>(scale);
        at::parallel_for(0, n, grain(8 * v), [&](int64_t a, int64_t b) {
            std::vector<float> weights(v), sums(blocks);
            for (int64_t i = a; i < b; ++i) {
                const float* row = xp + i * v;
                double top = 0, total = kernels().weigh(row, weights.data(), sums.data(), v, s, &top);
                int64_t token = greedy ? likeliest(row, v) : invert(weights.data(), sums.data(), v, uniforms[i] * total);
                tokens[i] = token;
                log_probs[i] = static_cast<float>(static_cast<double>(row[token]) * s - top - std::log(total));
            }
        });
    });
}

}  // extern "C"
