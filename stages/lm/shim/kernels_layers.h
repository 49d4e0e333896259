// RMSNorm, SwiGLU, rotary positions and the head: one pass over memory each. Included by kernels.cpp.
#pragma once

#include "kernels_math.h"

namespace {

void norm_forward(const float* x, const float* w, float* y, float* inverse, int64_t n, int64_t d, float eps) {
    for (int64_t i = 0; i < n; ++i, x += d, y += d) {
        float square = 0;
#pragma omp simd reduction(+ : square)
        for (int64_t c = 0; c < d; ++c) square += x[c] * x[c];
        float r = 1.0f / __builtin_sqrtf(square / d + eps);
        inverse[i] = r;
#pragma omp simd
        for (int64_t c = 0; c < d; ++c) y[c] = x[c] * r * w[c];
    }
}

// With r the inverse root: dx = r (w dy - x r^2 mean(w dy x)), dw = sum over tokens of dy x r.
void norm_backward(const float* dy, const float* x, const float* w, const float* inverse, float* dx, float* dw,
                   int64_t n, int64_t d) {
    for (int64_t i = 0; i < n; ++i, dy += d, x += d, dx += d) {
        float r = inverse[i], along = 0;
#pragma omp simd reduction(+ : along)
        for (int64_t c = 0; c < d; ++c) along += dy[c] * w[c] * x[c];
        float pull = along * r * r / d;
#pragma omp simd
        for (int64_t c = 0; c < d; ++c) {
            dx[c] = r * (dy[c] * w[c] - x[c] * pull);
            dw[c] += dy[c] * x[c] * r;
        }
    }
}

void swiglu_forward(const float* x, float* y, int64_t n, int64_t f) {
    for (int64_t i = 0; i < n; ++i, x += 2 * f, y += f) {
#pragma omp simd
        for (int64_t c = 0; c < f; ++c) y[c] = x[c] * sigmoid_(x[c]) * x[f + c];
    }
}

void swiglu_backward(const float* dy, const float* x, float* dx, int64_t n, int64_t f) {
    for (int64_t i = 0; i < n; ++i, dy += f, x += 2 * f, dx += 2 * f) {
#pragma omp simd
        for (int64_t c = 0; c < f; ++c) {
            float gate = x[c], s = sigmoid_(gate), silu = gate * s;
            dx[c] = dy[c] * x[f + c] * (s + silu * (1.0f - s));
            dx[f + c] = dy[c] * silu;
        }
    }
}

void rotate(const float* x, const float* cos, const float* sin, float* y, int64_t n, int64_t channels, int64_t heads,
            int64_t d, float sign) {
    int64_t half = d / 2;
    for (int64_t i = 0; i < n; ++i, x += channels, y += channels, cos += d, sin += d) {
        for (int64_t h = 0; h < heads; ++h) {
            const float *first = x + h * d, *second = first + half;
            float *out = y + h * d, *out_second = out + half;
#pragma omp simd
            for (int64_t c = 0; c < half; ++c) {
                float a = first[c], b = second[c], s = sign * sin[c];
                out[c] = a * cos[c] - b * s;
                out_second[c] = b * cos[c] + a * s;
            }
        }
        std::memcpy(y + heads * d, x + heads * d, (channels - heads * d) * sizeof(float));
    }
}

// Four rows of the matrix at a time, each read front to back: with so few tokens memory is the limit.
void few_products(const float* w, const float* x, float* y, int64_t rows, int64_t d, int64_t n, int64_t stride) {
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
                // The next four rows, which the processor would only fetch on meeting them.
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

double log_sum_exp(const float* x, int64_t v, float scale) {
    float top = max_of(x, v) * scale;
    double total = 0;
    for (int64_t start = 0; start < v; start += 8 * BLOCK) {
        int64_t end = start + 8 * BLOCK < v ? start + 8 * BLOCK : v;
        float part = 0;
#pragma omp simd reduction(+ : part)
        for (int64_t c = start; c < end; ++c) part += exp_(x[c] * scale - top);
        total += part;
    }
    return top + __builtin_log(total);
}

void log_prob_backward(const float* x, float* dx, int64_t v, int64_t target, float lse, float scale, float grad) {
    float factor = -scale * grad;
#pragma omp simd
    for (int64_t c = 0; c < v; ++c) dx[c] = factor * exp_(x[c] * scale - lse);
    dx[target] += scale * grad;
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

}  // namespace
