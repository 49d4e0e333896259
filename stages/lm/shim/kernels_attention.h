// Causal attention of one row, forward and backward. Included by kernels.cpp.
//
// Queries are processed four at a time, so that each key or value is read once for four queries. Heads and lengths are
// padded with zeros to whole vectors. Scratch layout: columns are [channel][token], rows are [token][channel].
#pragma once

#include "kernels_math.h"

namespace {

const int64_t QUERIES = 4;

// Copies t vectors of width d, `stride` apart, into padded rows.
template <typename E>
INLINE void to_rows(const E* x, int64_t stride, float* rows, int64_t t, int64_t d) {
    int64_t width = padded(d);
    for (int64_t j = 0; j < t; ++j) {
        copy(rows + j * width, x + j * stride, d);
        for (int64_t c = d; c < width; ++c) rows[j * width + c] = 0;
    }
}

// Distance between columns, in floats: an odd number of vectors, because at powers of two columns would compete for few
// cache lines.
INLINE int64_t column_of(int64_t t) { return padded(t) / WIDTH % 2 == 0 ? padded(t) + WIDTH : padded(t); }

// Copies t padded rows into columns; elements after the last token are 0.
INLINE void to_columns(const float* rows, float* columns, int64_t t, int64_t width) {
    int64_t length = column_of(t);
    for (int64_t c = 0; c < width; ++c) {
        for (int64_t j = 0; j < t; ++j) columns[c * length + j] = rows[j * width + c];
        for (int64_t j = t; j < length; ++j) columns[c * length + j] = 0;
    }
}

// out[q][j] = scale * a[q] . column j, for four rows a and j < padded(count).
INLINE void scores(const float* a, const float* columns, float* out, int64_t count, int64_t length, int64_t width,
                   float scale) {
    for (int64_t j = 0; j < count; j += WIDTH) {
        Vector s0 = {}, s1 = {}, s2 = {}, s3 = {};
        for (int64_t c = 0; c < width; ++c) {
            Vector column = load(columns + c * length + j);
            s0 += a[c] * column;
            s1 += a[width + c] * column;
            s2 += a[2 * width + c] * column;
            s3 += a[3 * width + c] * column;
        }
        store(out + j, scale * s0);
        store(out + length + j, scale * s1);
        store(out + 2 * length + j, scale * s2);
        store(out + 3 * length + j, scale * s3);
    }
}

// y[q] += sum over j of p[q][j] * row j, for four queries; rows are `stride` apart.
INLINE void mix(const float* p, int64_t length, const float* rows, int64_t stride, float* y, int64_t count,
                int64_t width) {
    for (int64_t c = 0; c < width; c += WIDTH) {
        Vector y0 = load(y + c), y1 = load(y + width + c);
        Vector y2 = load(y + 2 * width + c), y3 = load(y + 3 * width + c);
        for (int64_t j = 0; j < count; ++j) {
            Vector row = load(rows + j * stride + c);
            y0 += p[j] * row;
            y1 += p[length + j] * row;
            y2 += p[2 * length + j] * row;
            y3 += p[3 * length + j] * row;
        }
        store(y + c, y0);
        store(y + width + c, y1);
        store(y + 2 * width + c, y2);
        store(y + 3 * width + c, y3);
    }
}

// row j += sum over four queries of p[q][j] * a[q].
INLINE void spread(const float* p, int64_t length, const float* a, float* rows, int64_t count, int64_t width) {
    for (int64_t c = 0; c < width; c += WIDTH) {
        Vector a0 = load(a + c), a1 = load(a + width + c);
        Vector a2 = load(a + 2 * width + c), a3 = load(a + 3 * width + c);
        for (int64_t j = 0; j < count; ++j) {
            float* row = rows + j * width + c;
            Vector low = p[j] * a0 + p[length + j] * a1, high = p[2 * length + j] * a2 + p[3 * length + j] * a3;
            store(row, load(row) + (low + high));
        }
    }
}

// Sets p to e^(p - shift) below `count` and to 0 from there on; returns the sum.
INLINE float exponentials(float* p, int64_t count, int64_t length, float shift) {
    float total = 0;
#pragma omp simd reduction(+ : total)
    for (int64_t j = 0; j < count; ++j) {
        p[j] = exp_(p[j] - shift);
        total += p[j];
    }
    for (int64_t j = count; j < length; ++j) p[j] = 0;
    return total;
}

INLINE float root_scale(int64_t d) { return 1.0f / __builtin_sqrtf(static_cast<float>(d)); }

struct Scratch {
    float *keys, *values, *columns, *value_columns, *dkeys, *dvalues, *p, *dp, *a, *b, *c;
    Scratch(float* at, int64_t t, int64_t d) {
        int64_t all = column_of(t) * padded(d), row = QUERIES * column_of(t), few = QUERIES * padded(d);
        float** parts[] = {&keys, &values, &columns, &value_columns, &dkeys, &dvalues, &p, &dp, &a, &b, &c};
        int64_t sizes[] = {all, all, all, all, all, all, row, row, few, few, few};
        for (int64_t i = 0; i < 11; ++i) {
            *parts[i] = at;
            at += sizes[i];
        }
    }
};

int64_t attention_scratch(int64_t t, int64_t d) {
    return 6 * column_of(t) * padded(d) + 2 * QUERIES * column_of(t) + 3 * QUERIES * padded(d);
}

// Returns the first position of the vector that contains `position`.
INLINE int64_t vector_of(int64_t position) { return position / WIDTH * WIDTH; }

// Copies `count` vectors of queries into four padded rows; the other rows are 0.
template <typename E>
INLINE void take_four(const E* x, int64_t stride, float* rows, int64_t count, int64_t d) {
    std::memset(rows, 0, QUERIES * padded(d) * sizeof(float));
    to_rows(x, stride, rows, count, d);
}

template <typename E>
void attention_forward(const E* qkv, E* out, float* lse, int64_t t, int64_t head, Heads heads, float* scratch) {
    int64_t stride = heads.channels(), d = heads.d, width = padded(d), length = column_of(t);
    Scratch s(scratch, t, d);
    to_rows(qkv + (heads.h + head) * d, stride, s.keys, t, d);
    to_rows(qkv + (heads.h + heads.g + head) * d, stride, s.values, t, d);
    to_columns(s.keys, s.columns, t, width);
    for (int64_t q = head * heads.group(); q < (head + 1) * heads.group(); ++q) {
        for (int64_t i = 0; i < t; i += QUERIES) {
            int64_t here = t - i < QUERIES ? t - i : QUERIES, from = vector_of(heads.first(i)), seen = i + here - from;
            take_four(qkv + i * stride + q * d, stride, s.a, here, d);
            scores(s.a, s.columns + from, s.p, seen, length, width, root_scale(d));
            float inverse[QUERIES] = {0};
            for (int64_t k = 0; k < QUERIES; ++k) {
                float* p = s.p + k * length;
                int64_t hidden = heads.first(i + k) - from, count = k < here ? i + k + 1 - from - hidden : 0;
                for (int64_t j = 0; j < hidden; ++j) p[j] = 0;
                float top = count > 0 ? max_of(p + hidden, count) : 0;
                float total = exponentials(p + hidden, count, padded(seen) - hidden, top);
                if (count == 0) continue;
                inverse[k] = 1.0f / total;
                lse[(i + k) * heads.h + q] = top + __builtin_logf(total);
            }
            std::memset(s.b, 0, QUERIES * width * sizeof(float));
            mix(s.p, length, s.values + from * width, width, s.b, seen, width);
            for (int64_t k = 0; k < here; ++k) {
                E* y = out + ((i + k) * heads.h + q) * d;
                for (int64_t c = 0; c < d; ++c) set(y[c], s.b[k * width + c] * inverse[k]);
            }
        }
    }
}

// With P the softmax and S the scores: dV = P^T dO, dP = dO V^T, dS = P (dP - rowsum(dO O)), dQ = dS K, dK = dS^T Q.
template <typename E>
void attention_backward(const E* dout, const E* qkv, const E* out, const float* lse, E* dqkv, int64_t t, int64_t head, Heads heads,
                        float* scratch) {
    int64_t stride = heads.channels(), d = heads.d, width = padded(d), length = column_of(t), h = heads.h;
    float scale = root_scale(d);
    Scratch s(scratch, t, d);
    to_rows(qkv + (h + head) * d, stride, s.keys, t, d);
    to_rows(qkv + (h + heads.g + head) * d, stride, s.values, t, d);
    to_columns(s.keys, s.columns, t, width);
    to_columns(s.values, s.value_columns, t, width);
    std::memset(s.dkeys, 0, t * width * sizeof(float));
    std::memset(s.dvalues, 0, t * width * sizeof(float));
    for (int64_t q = head * heads.group(); q < (head + 1) * heads.group(); ++q) {
        for (int64_t i = 0; i < t; i += QUERIES) {
            int64_t here = t - i < QUERIES ? t - i : QUERIES, from = vector_of(heads.first(i)), seen = i + here - from;
            take_four(qkv + i * stride + q * d, stride, s.a, here, d);
            take_four(dout + (i * h + q) * d, h * d, s.b, here, d);
            scores(s.a, s.columns + from, s.p, seen, length, width, scale);
            scores(s.b, s.value_columns + from, s.dp, seen, length, width, 1.0f);
            for (int64_t k = 0; k < QUERIES; ++k) {
                float *p = s.p + k * length, *dp = s.dp + k * length, own = 0;
                int64_t hidden = heads.first(i + k) - from, count = k < here ? i + k + 1 - from - hidden : 0;
                for (int64_t j = 0; j < hidden; ++j) p[j] = 0;
                exponentials(p + hidden, count, padded(seen) - hidden, count > 0 ? lse[(i + k) * h + q] : 0);
                const float* dy = s.b + k * width;
                const E* y = out + ((i + k) * h + q) * d;
                for (int64_t c = 0; count > 0 && c < d; ++c) own += dy[c] * get(y[c]);
#pragma omp simd
                for (int64_t j = 0; j < padded(seen); ++j) dp[j] = p[j] * (dp[j] - own) * scale;
            }
            std::memset(s.c, 0, QUERIES * width * sizeof(float));
            mix(s.dp, length, s.keys + from * width, width, s.c, seen, width);
            spread(s.dp, length, s.a, s.dkeys + from * width, seen, width);
            spread(s.p, length, s.b, s.dvalues + from * width, seen, width);
            for (int64_t k = 0; k < here; ++k) copy(dqkv + (i + k) * stride + q * d, s.c + k * width, d);
        }
    }
    for (int64_t j = 0; j < t; ++j) {
        copy(dqkv + j * stride + (h + head) * d, s.dkeys + j * width, d);
        copy(dqkv + j * stride + (h + heads.g + head) * d, s.dvalues + j * width, d);
    }
}

}  // namespace
