// Attention of newest tokens over a KV cache. Shapes: n tokens, h query heads, g key heads, d channels of a head, t
// positions of a slot.

// SPLIT is the number of positions that a block reads, and of its threads. A block's query heads have at most CHANNELS
// channels together.
#define SPLIT 128
#define CHANNELS 1024

// Attention of each row's newest token, qkv [n, (h + 2g) d] and angles [n, d], over its slot of the cache [slots, g, t,
// d] up to its position, within `window` positions if that is above 0. The token's rotated key and its value are
// written to that position. Block (s, k, i) reads SPLIT positions from s SPLIT on, for token i and up to R query heads
// of one key head. It writes its part of the result to parts [n, h, splits, d + 2], which `decode_join` combines: the
// largest score, the sum of weights, and the weighted values.
//
// The function is long because its steps share a block's shared memory.
template <typename E, int R>
__device__ void decode(const E* __restrict__ qkv, const E* __restrict__ cos, const E* __restrict__ sin, E* keys,
                       E* values, const int64* __restrict__ positions, float* parts, int h, int g, int d, int64 t,
                       int64 window, float scale) {
    const int COUNT = Pack<E>::COUNT;
    const int QUARTET = Pack<float>::COUNT;
    __shared__ Pack<float> queries[CHANNELS / QUARTET];
    __shared__ Pack<E> newest[CHANNELS / COUNT];
    __shared__ float scores[R * SPLIT], sums[SPLIT * COUNT * R];
    int group = h / g, blocks = (group + R - 1) / R, key_head = blockIdx.y / blocks;
    int first = blockIdx.y % blocks * R, here = min(R, group - first);
    int64 token = blockIdx.z, last = positions[token], start = static_cast<int64>(blockIdx.x) * SPLIT;
    keys += ((token * g + key_head) * t + start) * d;
    values += ((token * g + key_head) * t + start) * d;
    // Relative to this block: the position of the newest token (possibly outside the block), and the range of visible
    // positions.
    int own_place = static_cast<int>(min(last - start, static_cast<int64>(SPLIT))), end = min(SPLIT, own_place + 1);
    int begin = window > 0 ? static_cast<int>(max(static_cast<int64>(0), last + 1 - window - start)) : 0;

    // Loads and rotates the queries (zeros for heads beyond the group) and the newest key.
    qkv += token * (h + 2 * g) * d;
    const E *own_query = qkv + (key_head * group + first) * d, *own_key = qkv + (h + key_head) * d,
            *own_value = own_key + g * d;
    int packs = d / COUNT;
    for (int i = threadIdx.x; i < (R + 1) * packs; i += SPLIT) {
        int head = i / packs, c = i % packs * COUNT;
        float turned[COUNT] = {};
        if (head < here || head == R)
            turn(head < R ? own_query + head * d : own_key, cos + token * d, sin + token * d, c, d, 1, turned);
        if (head == R)
            for (int k = 0; k < COUNT; ++k) set(newest[c / COUNT].of[k], turned[k]);
        else
            for (int k = 0; k < COUNT; ++k) queries[(head * d + c + k) / QUARTET].of[k % QUARTET] = turned[k] * scale;
    }
    __syncthreads();
    // Blocks for other query heads of the group read the newest key and value from qkv, not from the cache.
    if (own_place >= 0 && own_place < SPLIT && first == 0 && threadIdx.x < packs) {
        store(keys + static_cast<int64>(own_place) * d + threadIdx.x * COUNT, newest[threadIdx.x]);
        store(values + static_cast<int64>(own_place) * d + threadIdx.x * COUNT, load(own_value + threadIdx.x * COUNT));
    }

    // One thread for each position: the scores of its key for all queries.
    int place = threadIdx.x;
    bool is_seen = place < end && place >= begin;
    float dots[R] = {};
#pragma unroll 4
    for (int c = 0; c < (is_seen ? d : 0); c += COUNT) {
        Pack<E> key = load(keys + static_cast<int64>(place) * d + c);
        if (place == own_place) key = newest[c / COUNT];
        for (int r = 0; r < R; ++r)
            for (int q = 0; q < COUNT; q += QUARTET) {
                Pack<float> query = queries[(r * d + c + q) / QUARTET];
                for (int k = 0; k < QUARTET; ++k) dots[r] += query.of[k] * get(key.of[q + k]);
            }
    }
    for (int r = 0; r < R; ++r) scores[r * SPLIT + place] = is_seen ? dots[r] : LEAST;
    __syncthreads();

    // One warp for each query head: converts scores to weights.
    int splits = gridDim.x, width = d + 2;
    float* out = parts + ((token * h + key_head * group + first) * splits + blockIdx.x) * width;
    for (int r = threadIdx.x / WARP; r < here; r += SPLIT / WARP) {
        float top = LEAST, sum = 0;
        for (int i = threadIdx.x % WARP; i < SPLIT; i += WARP) top = fmaxf(top, scores[r * SPLIT + i]);
        top = max_of_warp(top);
        for (int i = threadIdx.x % WARP; i < SPLIT; i += WARP) {
            float weight = scores[r * SPLIT + i] > LEAST ? expf(scores[r * SPLIT + i] - top) : 0;
            scores[r * SPLIT + i] = weight;
            sum += weight;
        }
        sum = sum_of_warp(sum);
        if (threadIdx.x % WARP == 0) {
            out[static_cast<int64>(r) * splits * width] = top;
            out[static_cast<int64>(r) * splits * width + 1] = sum;
        }
    }
    __syncthreads();

    // Each team of threads covers the channels of one position; as many teams as fit work on different positions.
    int lanes = d / COUNT, teams = SPLIT / lanes, team = threadIdx.x / lanes, lane = threadIdx.x % lanes;
    float acc[R][COUNT] = {};
#pragma unroll 4
    for (int i = begin + team; i < (team < teams ? end : 0); i += teams) {
        Pack<E> value = load((i == own_place ? own_value : values + static_cast<int64>(i) * d) + lane * COUNT);
        for (int r = 0; r < R; ++r)
            for (int k = 0; k < COUNT; ++k) acc[r][k] += scores[r * SPLIT + i] * get(value.of[k]);
    }
    for (int r = 0; r < R; ++r)
        for (int k = 0; k < COUNT; ++k)
            if (team < teams) sums[(team * R + r) * d + lane * COUNT + k] = acc[r][k];
    __syncthreads();
    for (int c = threadIdx.x; c < here * d; c += SPLIT) {
        float sum = 0;
        for (int i = 0; i < teams; ++i) sum += sums[i * R * d + c];
        out[static_cast<int64>(c / d) * splits * width + 2 + c % d] = sum;
    }
}

// Combines the parts that `decode` wrote to out [n, h d]. One block for each head of each token.
template <typename E>
__device__ void decode_join(const float* parts, E* out, int splits, int d) {
    int width = d + 2;
    int64 head = blockIdx.x;
    parts += head * splits * width;
    float top = LEAST;
    for (int s = 0; s < splits; ++s) top = fmaxf(top, parts[s * width]);
    for (int c = threadIdx.x; c < d; c += blockDim.x) {
        float sum = 0, total = 0;
        for (int s = 0; s < splits; ++s) {
            float share = expf(parts[s * width] - top);
            total += share * parts[s * width + 1];
            sum += share * parts[s * width + 2 + c];
        }
        set(out[head * d + c], sum / total);
    }
}
