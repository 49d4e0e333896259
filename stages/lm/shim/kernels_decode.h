// Attention of one new token over its row's KV cache, and the write to the cache. Included by kernels.cpp.
//
// A step of sampling reads the whole cache, so it is bound by memory bandwidth. Each key head's data are read once for
// several of its query heads, and each value row is read as a whole. A sum is split into even and odd terms, which do
// not wait for each other. The number of queries processed together does not change the result.
#pragma once

#include "kernels_attention.h"

namespace {

// Returns the index of channel c of position j in the cached keys of one head: blocks of sixteen positions, each by
// channel.
INLINE int64_t key_at(int64_t j, int64_t c, int64_t width) { return j / WIDTH * WIDTH * width + c * WIDTH + j % WIDTH; }

void cache_write(const float* qkv, float* keys, float* values, int64_t position, int64_t positions, Heads heads) {
    int64_t d = heads.d, width = padded(d);
    for (int64_t head = 0; head < heads.g; ++head) {
        const float *key = qkv + (heads.h + head) * d, *value = key + heads.g * d;
        float *key_block = keys + head * width * positions, *row = values + (head * positions + position) * width;
        for (int64_t c = 0; c < d; ++c) key_block[key_at(position, c, width)] = key[c];
        std::memcpy(row, value, d * sizeof(float));
    }
}

// One key head's cached positions that a token sees: from `first` to below `count`, read in whole vectors from `from`
// on.
struct Seen {
    const float *keys, *values;
    int64_t from, first, count, positions;
    int64_t d, width;
};

// p[n][j] = scale * query n . key j, for N queries.
template <int N>
INLINE void score_positions(const float* queries, Seen seen, float* p, float scale) {
    for (int64_t j = seen.from; j < seen.count; j += WIDTH) {
        const float* block = seen.keys + j * seen.width;
        Vector even[N] = {}, odd[N] = {};
        for (int64_t c = 0; c < seen.d; c += 2) {
            Vector key = load(block + c * WIDTH), next = load(block + (c + 1) * WIDTH);
            for (int n = 0; n < N; ++n) {
                even[n] += queries[n * seen.d + c] * key;
                odd[n] += queries[n * seen.d + c + 1] * next;
            }
        }
        for (int n = 0; n < N; ++n) store(p + n * seen.positions + j, scale * (even[n] + odd[n]));
    }
}

// y[n] = sum over j of p[n][j] value j / total[n], for C vectors of channels from `c` on. After the last token, p is 0
// and the cache is finite.
template <int N, int C>
INLINE void mix_positions(const float* p, Seen seen, const float* total, float* y, int64_t c) {
    Vector even[N][C] = {}, odd[N][C] = {};
    for (int64_t j = seen.from; j < seen.count; j += 2) {
        const float* row = seen.values + j * seen.width + c;
        for (int k = 0; k < C; ++k) {
            Vector value = load(row + k * WIDTH), next = load(row + seen.width + k * WIDTH);
            for (int n = 0; n < N; ++n) {
                even[n][k] += p[n * seen.positions + j] * value;
                odd[n][k] += p[n * seen.positions + j + 1] * next;
            }
        }
    }
    for (int n = 0; n < N; ++n)
        for (int k = 0; k < C; ++k) store(y + n * seen.width + c + k * WIDTH, (even[n][k] + odd[n][k]) / total[n]);
}

// Attention of N queries of one key head; C is the number of vectors of channels whose sums fit into registers.
template <int N, int C>
INLINE void attend_positions(const float* queries, Seen seen, float* out, float* p, float* y) {
    score_positions<N>(queries, seen, p, root_scale(seen.d));
    float total[N];
    for (int n = 0; n < N; ++n) {
        float* own = p + n * seen.positions;
        for (int64_t j = seen.from; j < seen.first; ++j) own[j] = 0;
        int64_t number = seen.count - seen.first;
        float top = max_of(own + seen.first, number);
        total[n] = exponentials(own + seen.first, number, padded(seen.count) - seen.first, top);
    }
    int64_t c = 0;
    for (; c + C * WIDTH <= seen.width; c += C * WIDTH) mix_positions<N, C>(p, seen, total, y, c);
    for (; c < seen.width; c += WIDTH) mix_positions<N, 1>(p, seen, total, y, c);
    for (int n = 0; n < N; ++n) std::memcpy(out + n * seen.d, y + n * seen.width, seen.d * sizeof(float));
}

// Most queries that are processed together.
const int64_t TOGETHER = 3;

int64_t decode_scratch(int64_t positions, int64_t d) { return TOGETHER * (positions + padded(d)); }

void decode(const float* qkv, float* keys, float* values, float* out, int64_t position, int64_t positions, Heads heads,
            float* scratch) {
    int64_t d = heads.d, width = padded(d), first = heads.first(position);
    float *p = scratch, *y = scratch + TOGETHER * positions;
    cache_write(qkv, keys, values, position, positions, heads);
    for (int64_t head = 0; head < heads.g; ++head) {
        int64_t all = head * width * positions;
        Seen seen{keys + all, values + all, vector_of(first), first, position + 1, positions, d, width};
        for (int64_t q = head * heads.group(), end = q + heads.group(); q < end;) {
            const float* query = qkv + q * d;
            float* to = out + q * d;
#if defined(__AVX512F__)
            switch (end - q) {
                case 1: attend_positions<1, 4>(query, seen, to, p, y); q += 1; break;
                case 2: case 4: attend_positions<2, 4>(query, seen, to, p, y); q += 2; break;
                default: attend_positions<3, 4>(query, seen, to, p, y); q += 3;
            }
#else
            // Half as many registers, of half the width.
            attend_positions<1, 2>(query, seen, to, p, y);
            q += 1;
#endif
        }
    }
}

}  // namespace
