// RMSNorm, SwiGLU, rotary positions, the head, squares of gradients, each in one pass over memory. Included by
// kernels.cpp.
#pragma once

#include "kernels_math.h"

namespace {

template <typename E>
void norm_forward(const E* x, const float* w, E* y, float* inverse, int64_t n, int64_t d, float eps) {
    for (int64_t i = 0; i < n; ++i, x += d, y += d) {
        float square = 0;
#pragma omp simd reduction(+ : square)
        for (int64_t c = 0; c < d; ++c) square += get(x[c]) * get(x[c]);
        float r = 1.0f / __builtin_sqrtf(square / d + eps);
        inverse[i] = r;
#pragma omp simd
        for (int64_t c = 0; c < d; ++c) set(y[c], get(x[c]) * r * w[c]);
    }
}

// With r the inverse root: dx = r (w dy - x r^2 mean(w dy x)), dw = sum over tokens of dy x r.
template <typename E>
void norm_backward(const E* dy, const E* x, const float* w, const float* inverse, E* dx, float* dw, int64_t n,
                   int64_t d) {
    for (int64_t i = 0; i < n; ++i, dy += d, x += d, dx += d) {
        float r = inverse[i], along = 0;
#pragma omp simd reduction(+ : along)
        for (int64_t c = 0; c < d; ++c) along += get(dy[c]) * w[c] * get(x[c]);
        float pull = along * r * r / d;
#pragma omp simd
        for (int64_t c = 0; c < d; ++c) {
            float slope = get(dy[c]), from = get(x[c]);
            set(dx[c], r * (slope * w[c] - from * pull));
            dw[c] += slope * from * r;
        }
    }
}

template <typename E>
void swiglu_forward(const E* x, E* y, int64_t n, int64_t f) {
    for (int64_t i = 0; i < n; ++i, x += 2 * f, y += f) {
#pragma omp simd
        for (int64_t c = 0; c < f; ++c) set(y[c], get(x[c]) * sigmoid_(get(x[c])) * get(x[f + c]));
    }
}

template <typename E>
void swiglu_backward(const E* dy, const E* x, E* dx, int64_t n, int64_t f) {
    for (int64_t i = 0; i < n; ++i, dy += f, x += 2 * f, dx += 2 * f) {
#pragma omp simd
        for (int64_t c = 0; c < f; ++c) {
            float gate = get(x[c]), s = sigmoid_(gate), silu = gate * s, slope = get(dy[c]);
            set(dx[c], slope * get(x[f + c]) * (s + silu * (1.0f - s)));
            set(dx[f + c], slope * silu);
        }
    }
}

template <typename E>
void rotate(const E* x, const float* cos, const float* sin, E* y, int64_t n, int64_t channels, int64_t heads, int64_t d,
            float sign) {
    int64_t half = d / 2;
    for (int64_t i = 0; i < n; ++i, x += channels, y += channels, cos += d, sin += d) {
        for (int64_t h = 0; h < heads; ++h) {
            const E *first = x + h * d, *second = first + half;
            E *out = y + h * d, *out_second = out + half;
#pragma omp simd
            for (int64_t c = 0; c < half; ++c) {
                float a = get(first[c]), b = get(second[c]), s = sign * sin[c];
                set(out[c], a * cos[c] - b * s);
                set(out_second[c], b * cos[c] + a * s);
            }
        }
        copy(y + heads * d, x + heads * d, channels - heads * d);
    }
}

// Processes four rows of the matrix at a time, each read sequentially: with so few tokens, memory bandwidth is the
// limit.
void few_token_matmul(const float* w, const float* x, float* y, int64_t rows, int64_t d, int64_t n, int64_t stride) {
    int64_t whole = d / WIDTH * WIDTH;
    for (int64_t r = 0; r < rows; r += 4) {
        int64_t here = rows - r < 4 ? rows - r : 4;
        const float* at[4];
        for (int64_t k = 0; k < 4; ++k) at[k] = w + (r + (k < here ? k : 0)) * d;
        for (int64_t i = 0; i < n; ++i) {
            const float* from = x + i * d;
            Vector s0 = {}, s1 = {}, s2 = {}, s3 = {};
            for (int64_t c = 0; c < whole; c += WIDTH) {
                Vector v = load(from + c);
                // Prefetches the next four rows, which the processor would not fetch ahead by itself.
                for (int64_t k = 0; k < 4; ++k) __builtin_prefetch(at[k] + 4 * d + c);
                s0 += load(at[0] + c) * v;
                s1 += load(at[1] + c) * v;
                s2 += load(at[2] + c) * v;
                s3 += load(at[3] + c) * v;
            }
            float sums[4] = {sum(s0), sum(s1), sum(s2), sum(s3)};
            for (int64_t k = 0; k < here; ++k) {
                for (int64_t c = whole; c < d; ++c) sums[k] += at[k][c] * from[c];
                y[i * stride + r + k] += sums[k];
            }
        }
    }
}

template <typename E>
double log_sum_exp(const E* x, int64_t v, float scale) {
    float top = max_of(x, v) * scale;
    double total = 0;
    for (int64_t start = 0; start < v; start += 8 * BLOCK) {
        int64_t end = start + 8 * BLOCK < v ? start + 8 * BLOCK : v;
        float part = 0;
#pragma omp simd reduction(+ : part)
        for (int64_t c = start; c < end; ++c) part += exp_(get(x[c]) * scale - top);
        total += part;
    }
    return top + __builtin_log(total);
}

template <typename E>
void log_prob_backward(const E* x, E* dx, int64_t v, int64_t target, float lse, float scale, float grad) {
    float factor = -scale * grad, at_target = factor * exp_(get(x[target]) * scale - lse);
#pragma omp simd
    for (int64_t c = 0; c < v; ++c) set(dx[c], factor * exp_(get(x[c]) * scale - lse));
    set(dx[target], at_target + scale * grad);
}

double weigh(const float* x, float* weights, float* sums, int64_t v, float scale, double* top) {
    float largest = max_of(x, v) * scale;
    *top = largest;
    double total = 0;
    for (int64_t start = 0, block = 0; start < v; start += BLOCK, ++block) {
        int64_t end = start + BLOCK < v ? start + BLOCK : v;
        float part = 0;
#pragma omp simd reduction(+ : part)
        for (int64_t c = start; c < end; ++c) {
            weights[c] = exp_(x[c] * scale - largest);
            part += weights[c];
        }
        sums[block] = part;
        total += part;
    }
    return total;
}

// Four sums in parallel, so that additions do not wait for each other.
double squares(const float* x, int64_t n) {
    Vector sums[4] = {};
    int64_t i = 0;
    for (; i + 4 * WIDTH <= n; i += 4 * WIDTH) {
        for (int64_t k = 0; k < 4; ++k) {
            Vector v = load(x + i + k * WIDTH);
            sums[k] += v * v;
        }
    }
    double total = sum((sums[0] + sums[1]) + (sums[2] + sums[3]));
    for (; i < n; ++i) total += static_cast<double>(x[i]) * x[i];
    return total;
}

}  // namespace
