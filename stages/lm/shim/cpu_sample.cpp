// Log-probabilities and tokens from logits, on the CPU. Shapes: n tokens, v vocabulary.
#include "cpu.h"

#include <cmath>
#include <vector>

namespace {

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

// Draws a token for each row of logits * scale by its uniform number, or takes the likeliest if `greedy`.
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
                int64_t token =
                    greedy ? likeliest(row, v) : invert(weights.data(), sums.data(), v, uniforms[i] * total);
                tokens[i] = token;
                log_probs[i] = static_cast<float>(static_cast<double>(row[token]) * s - top - std::log(total));
            }
        });
    });
}

}  // extern "C"
