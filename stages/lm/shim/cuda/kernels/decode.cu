// Attention of newest tokens over a cache. Shapes: n tokens, h query heads, g key heads, d channels of a head, t places
// of a slot.

// Places that one block reads, and its threads; the channels of all its query heads together are no more than CHANNELS.
#define SPLIT 128
#define CHANNELS 1024

// Attention of each row's newest token, qkv [n, (h + 2g) d] and angles [n, d], over its slot of the cache
// [slots, g, t, d] up to its position, where its own key, turned, and value are put; no further back than `window`
// places if that is above 0. Block (s, k, i) reads places s SPLIT and following for token i and for up to R query heads
// of one key head; it leaves in parts [n, h, splits, d + 2] what `decode_join` puts together: the largest score, the sum
// of weights, and the weighted values.
//
// In one piece, though long: its steps hand each other what a block has in shared memory.
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
    // Of this block's places: the newest token's own, which may be none, and the first and the end of those seen.
    int own_place = static_cast<int>(min(last - start, static_cast<int64>(SPLIT))), end = min(SPLIT, own_place + 1);
    int begin = window > 0 ? static_cast<int>(max(static_cast<int64>(0), last + 1 - window - start)) : 0;

    // The queries, of which there are zeros where R is more than there are, and the newest key.
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
    // Blocks for other query heads of the group have these from where they come from, not from the cache.
    if (own_place >= 0 && own_place < SPLIT && first == 0 && threadIdx.x < packs) {
        store(keys + static_cast<int64>(own_place) * d + threadIdx.x * COUNT, newest[threadIdx.x]);
        store(values + static_cast<int64>(own_place) * d + threadIdx.x * COUNT, load(own_value + threadIdx.x * COUNT));
    }

    // A thread for each place: what its key is to all the queries.
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

    // A warp for each query head: scores become weights.
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

    // A few threads for the channels of a place, and as many places at a time as that leaves room for.
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

// out [n, h d] of what `decode` left. A block for each head of each token.
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
