// What a GPU runs where libtorch has several kernels, or a slow one. Compiled for the card at hand when first wanted
// (driver.cpp), without any header; tests run it on the CPU (simulated-gpu).
//
// Elements are read sixteen bytes at a time: rows are multiples of that, and begin at one. All is computed in single precision.
// Shapes: n tokens, f width of gate or up, h query heads, g key heads, d channels of a head, v vocabulary, t places of a slot.

typedef long long int64;

// A brain float: the upper half of a float.
struct Brain {
    unsigned short bits;
};

__device__ inline float get(float x) { return x; }
__device__ inline float get(Brain x) { return __uint_as_float(static_cast<unsigned>(x.bits) << 16); }
__device__ inline void set(float& to, float x) { to = x; }
__device__ inline void set(Brain& to, float x) {
    unsigned bits = __float_as_uint(x);
    // To the nearest, and of two as near to the even one.
    to.bits = static_cast<unsigned short>(x != x ? 0x7fc0 : (bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

template <typename E>
struct alignas(16) Pack {
    static const int COUNT = 16 / sizeof(E);
    E of[COUNT];
};

template <typename E>
__device__ inline Pack<E> load(const E* from) {
    return *reinterpret_cast<const Pack<E>*>(from);
}

template <typename E>
__device__ inline void store(E* to, const Pack<E>& pack) {
    *reinterpret_cast<Pack<E>*>(to) = pack;
}

// Less than any score, and yet a number: its exponential is 0, also beside itself.
#define LEAST (-3e38f)
#define WARP 32
#define MOST_WARPS 32

__device__ inline float sum_of_warp(float x) {
    for (int lane = WARP / 2; lane > 0; lane /= 2) x += __shfl_xor_sync(0xffffffffu, x, lane);
    return x;
}

__device__ inline float max_of_warp(float x) {
    for (int lane = WARP / 2; lane > 0; lane /= 2) x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, lane));
    return x;
}

// The largest of some numbers, and the sum of their exponentials, taken relative to it.
struct Exponentials {
    float top, sum;

    __device__ void add(Exponentials other) {
        float next = fmaxf(top, other.top);
        sum = sum * expf(top - next) + other.sum * expf(other.top - next);
        top = next;
    }
};

// Of all threads of a block; all get the result. `room` has MOST_WARPS places.
__device__ inline Exponentials of_block(Exponentials own, Exponentials* room) {
    float top = max_of_warp(own.top);
    own = {top, sum_of_warp(own.sum * expf(own.top - top))};
    if (threadIdx.x % WARP == 0) room[threadIdx.x / WARP] = own;
    __syncthreads();
    Exponentials all = room[0];
    for (int i = 1; i < static_cast<int>(blockDim.x) / WARP; ++i) all.add(room[i]);
    __syncthreads();
    return all;
}

// How many elements of a row of logits each warp of a block has.
template <typename E>
__device__ inline int64 stretch(int64 v) {
    int64 at_once = WARP * Pack<E>::COUNT, warps = blockDim.x / WARP;
    return (v + at_once * warps - 1) / (at_once * warps) * at_once;
}

// Of one row of logits, by a block; `room` then has those of each warp's stretch.
template <typename E>
__device__ Exponentials of_row(const E* x, int64 v, float scale, Exponentials* room) {
    const int COUNT = Pack<E>::COUNT;
    int64 start = threadIdx.x / WARP * stretch<E>(v), end = min(v, start + stretch<E>(v));
    Exponentials own = {LEAST, 0};
#pragma unroll 4
    for (int64 c = start + threadIdx.x % WARP * COUNT; c < end; c += WARP * COUNT) {
        Pack<E> pack = load(x + c);
        Exponentials here = {LEAST, 0};
        for (int k = 0; k < COUNT; ++k) here.top = fmaxf(here.top, get(pack.of[k]) * scale);
        for (int k = 0; k < COUNT; ++k) here.sum += expf(get(pack.of[k]) * scale - here.top);
        own.add(here);
    }
    return of_block(own, room);
}

// y = x / rms(x) * weight for x [n, d], and 1 / rms(x), [n], unless nobody wants that. A block for each token, as in all up to
// `sample` but the next.
template <typename E>
__device__ void rms_norm(const E* x, const E* weight, E* y, float* inverses, int64 d, float eps) {
    const int COUNT = Pack<E>::COUNT;
    __shared__ float squares[MOST_WARPS];
    x += blockIdx.x * d;
    y += blockIdx.x * d;
    float sum = 0;
    for (int64 c = threadIdx.x * COUNT; c < d; c += blockDim.x * COUNT) {
        Pack<E> pack = load(x + c);
        for (int k = 0; k < COUNT; ++k) sum += get(pack.of[k]) * get(pack.of[k]);
    }
    sum = sum_of_warp(sum);
    if (threadIdx.x % WARP == 0) squares[threadIdx.x / WARP] = sum;
    __syncthreads();
    sum = 0;
    for (int i = 0; i < static_cast<int>(blockDim.x) / WARP; ++i) sum += squares[i];
    float inverse = rsqrtf(sum / d + eps);
    if (inverses && threadIdx.x == 0) inverses[blockIdx.x] = inverse;
    for (int64 c = threadIdx.x * COUNT; c < d; c += blockDim.x * COUNT) {
        Pack<E> pack = load(x + c), weights = load(weight + c);
        for (int k = 0; k < COUNT; ++k) set(pack.of[k], get(pack.of[k]) * inverse * get(weights.of[k]));
        store(y + c, pack);
    }
}

// Channels of the widest norm whose gradient a block can take.
#define WIDEST 4096

// The gradient of that: dx for dy, with what comes `through` beside the norm added unless there is none, and for the weight what
// the tokens of each block add up to, parts [blocks, d]. A block for `rows` tokens, with a thread for each pack of channels.
template <typename E>
__device__ void rms_norm_backward(const E* __restrict__ x, const E* __restrict__ weight, const float* __restrict__ inverses,
                                  const E* __restrict__ dy, const E* __restrict__ through, E* __restrict__ dx, float* parts, int64 n,
                                  int64 d, int64 rows) {
    const int COUNT = Pack<E>::COUNT, TOGETHER = 2;
    // Twice, so that a warp may be a step ahead of another.
    __shared__ float room[2][TOGETHER][MOST_WARPS];
    int64 c = threadIdx.x * COUNT, start = blockIdx.x * rows, end = min(n, start + rows);
    bool is_in = c < d;
    Pack<E> weights = {}, xs[TOGETHER] = {}, grads[TOGETHER] = {};
    if (is_in) weights = load(weight + c);
    float sums[COUNT] = {};
    int turn = 0;
    for (int64 row = start; row < end; row += TOGETHER, turn ^= 1) {
        int here = static_cast<int>(min(static_cast<int64>(TOGETHER), end - row));
#pragma unroll
        for (int i = 0; i < TOGETHER; ++i) {
            if (is_in && i < here) {
                xs[i] = load(x + (row + i) * d + c);
                grads[i] = load(dy + (row + i) * d + c);
            }
        }
#pragma unroll
        for (int i = 0; i < TOGETHER; ++i) {
            float dot = 0;
            for (int k = 0; k < COUNT; ++k) dot += get(grads[i].of[k]) * get(weights.of[k]) * get(xs[i].of[k]);
            dot = sum_of_warp(dot);
            if (threadIdx.x % WARP == 0) room[turn][i][threadIdx.x / WARP] = dot;
        }
        __syncthreads();
#pragma unroll
        for (int i = 0; i < TOGETHER; ++i) {
            if (is_in && i < here) {
                float dot = 0, inverse = inverses[row + i];
                for (int w = 0; w < static_cast<int>(blockDim.x) / WARP; ++w) dot += room[turn][i][w];
                float share = inverse * inverse * inverse * dot / d;
                Pack<E> out = {};
                if (through) out = load(through + (row + i) * d + c);
                for (int k = 0; k < COUNT; ++k) {
                    float grad = get(grads[i].of[k]), own = get(xs[i].of[k]);
                    set(out.of[k], (through ? get(out.of[k]) : 0) + inverse * grad * get(weights.of[k]) - share * own);
                    sums[k] += grad * own * inverse;
                }
                store(dx + (row + i) * d + c, out);
            }
        }
    }
    for (int k = 0; k < COUNT; ++k)
        if (is_in) parts[blockIdx.x * d + c + k] = sums[k];
}

// x [n, 2f]: gates, then the others; y [n, f].
template <typename E>
__device__ void swiglu_forward(const E* x, E* y, int64 f) {
    const int COUNT = Pack<E>::COUNT;
    x += blockIdx.x * 2 * f;
    y += blockIdx.x * f;
    for (int64 c = threadIdx.x * COUNT; c < f; c += blockDim.x * COUNT) {
        Pack<E> gates = load(x + c), ups = load(x + f + c), out;
        for (int k = 0; k < COUNT; ++k) {
            float gate = get(gates.of[k]);
            set(out.of[k], gate / (1 + expf(-gate)) * get(ups.of[k]));
        }
        store(y + c, out);
    }
}

template <typename E>
__device__ void swiglu_backward(const E* dy, const E* x, E* dx, int64 f) {
    const int COUNT = Pack<E>::COUNT;
    dy += blockIdx.x * f;
    x += blockIdx.x * 2 * f;
    dx += blockIdx.x * 2 * f;
    for (int64 c = threadIdx.x * COUNT; c < f; c += blockDim.x * COUNT) {
        Pack<E> grads = load(dy + c), gates = load(x + c), ups = load(x + f + c), to_gates, to_ups;
        for (int k = 0; k < COUNT; ++k) {
            float gate = get(gates.of[k]), grad = get(grads.of[k]), share = 1 / (1 + expf(-gate));
            set(to_gates.of[k], grad * get(ups.of[k]) * share * (1 + gate * (1 - share)));
            set(to_ups.of[k], grad * gate * share);
        }
        store(dx + c, to_gates);
        store(dx + f + c, to_ups);
    }
}

// The channels of a head from c on, a pack of them, turned by its angles, or back where `sign` is -1. Both halves of a head have the
// same angles.
template <typename E>
__device__ inline void turn(const E* head, const E* cos, const E* sin, int c, int d, float sign, float* turned) {
    int half = d / 2, angle = c < half ? c : c - half;
    Pack<E> own = load(head + c), other = load(head + (c < half ? c + half : c - half));
    Pack<E> cosines = load(cos + angle), sines = load(sin + angle);
    float towards = c < half ? -sign : sign;
    for (int k = 0; k < Pack<E>::COUNT; ++k)
        turned[k] = get(own.of[k]) * get(cosines.of[k]) + get(other.of[k]) * towards * get(sines.of[k]);
}

// Turns the first `heads` heads of x [n, channels] by angles [n, d], or back where `sign` is -1; the rest is copied.
template <typename E>
__device__ void rotate(const E* x, const E* cos, const E* sin, E* y, int64 channels, int heads, int d, float sign) {
    const int COUNT = Pack<E>::COUNT;
    x += blockIdx.x * channels;
    y += blockIdx.x * channels;
    cos += blockIdx.x * static_cast<int64>(d);
    sin += blockIdx.x * static_cast<int64>(d);
    for (int c = threadIdx.x * COUNT; c < channels; c += blockDim.x * COUNT) {
        Pack<E> pack;
        if (c < heads * d) {
            float turned[COUNT];
            turn(x + c / d * d, cos, sin, c % d, d, sign, turned);
            for (int k = 0; k < COUNT; ++k) set(pack.of[k], turned[k]);
        } else {
            pack = load(x + c);
        }
        store(y + c, pack);
    }
}

// ln p(target) of logits x [n, v] times `scale`, and the logarithm of the sum of exponentials; NaN for no token.
template <typename E>
__device__ void log_probs(const E* x, const int64* targets, float* out, float* lse, int64 v, float scale) {
    __shared__ Exponentials room[MOST_WARPS];
    x += blockIdx.x * v;
    Exponentials all = of_row(x, v, scale, room);
    if (threadIdx.x > 0) return;
    int64 target = targets[blockIdx.x];
    float total = all.top + logf(all.sum);
    lse[blockIdx.x] = total;
    out[blockIdx.x] = target >= 0 && target < v ? get(x[target]) * scale - total : __int_as_float(0x7fc00000);
}

template <typename E>
__device__ void log_probs_backward(const E* x, const int64* targets, const float* lse, const float* dy, E* dx, int64 v,
                                   float scale) {
    const int COUNT = Pack<E>::COUNT;
    x += blockIdx.x * v;
    dx += blockIdx.x * v;
    int64 target = targets[blockIdx.x];
    float total = lse[blockIdx.x], grad = scale * dy[blockIdx.x];
    for (int64 c = threadIdx.x * COUNT; c < v; c += blockDim.x * COUNT) {
        Pack<E> pack = load(x + c);
        for (int k = 0; k < COUNT; ++k) {
            float p = expf(get(pack.of[k]) * scale - total);
            set(pack.of[k], grad * ((c + k == target ? 1.0f : 0.0f) - p));
        }
        store(dx + c, pack);
    }
}

// The sum over the threads of a block before this one, and over all of them. `room` has MOST_WARPS places.
__device__ inline double before(double own, double* room, double* all) {
    double sum = own;
    int lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;
    for (int step = 1; step < WARP; step *= 2) {
        double lower = __shfl_up_sync(0xffffffffu, sum, step);
        if (lane >= step) sum += lower;
    }
    if (lane == WARP - 1) room[warp] = sum;
    __syncthreads();
    double warps = 0;
    *all = 0;
    for (int i = 0; i < static_cast<int>(blockDim.x) / WARP; ++i) {
        if (i == warp) warps = *all;
        *all += room[i];
    }
    __syncthreads();
    return warps + sum - own;
}

// The least of all threads of a block, for all of them. `room` has MOST_WARPS places.
__device__ inline int least(int own, int* room) {
    for (int lane = WARP / 2; lane > 0; lane /= 2) own = min(own, __shfl_xor_sync(0xffffffffu, own, lane));
    if (threadIdx.x % WARP == 0) room[threadIdx.x / WARP] = own;
    __syncthreads();
    int all = room[0];
    for (int i = 1; i < static_cast<int>(blockDim.x) / WARP; ++i) all = min(all, room[i]);
    __syncthreads();
    return all;
}

#define NO_TOKEN 0x7fffffff

// The first token of a row from `start` on at which the cumulated weight, `done` before it and exp(x scale - top) each, exceeds
// `wanted`; by a block. Rounding can leave all of it below: then it is the last token that has any.
template <typename E>
__device__ int cumulated(const E* x, int start, int v, float scale, float top, double done, double wanted) {
    const int COUNT = Pack<E>::COUNT;
    __shared__ double sums[MOST_WARPS];
    __shared__ int firsts[MOST_WARPS];
    int last = 0, tile = blockDim.x * COUNT;
    for (; start < v; start += tile) {
        int c = start + threadIdx.x * COUNT, first = NO_TOKEN;
        float weights[COUNT];
        double own = 0, here;
        for (int k = 0; k < COUNT; ++k) {
            weights[k] = c < v ? expf(get(x[c + k]) * scale - top) : 0;
            own += weights[k];
            if (weights[k] > 0) last = c + k;
        }
        double sum = done + before(own, sums, &here);
        for (int k = COUNT - 1; k >= 0; --k) {
            if (weights[k] > 0 && sum + own > wanted) first = c + k;
            own -= weights[k];
        }
        done += here;
        // The same for all threads, so that all meet in what follows.
        if (done > wanted) {
            first = least(first, firsts);
            if (first != NO_TOKEN) return first;
        }
    }
    return -least(-last, firsts);
}

// As that, from the stretch on in which it must be; `room` has what `of_row` left.
template <typename E>
__device__ int drawn(const E* x, int64 v, float scale, Exponentials all, double uniform, const Exponentials* room) {
    double wanted = uniform * all.sum, done = 0, next = 0;
    int64 start = 0;
    for (int i = 0; i < static_cast<int>(blockDim.x) / WARP && next <= wanted; ++i) {
        float weight = room[i].sum * expf(room[i].top - all.top);
        if (weight > 0) {
            start = i * stretch<E>(v);
            done = next;
        }
        next += weight;
    }
    return cumulated(x, static_cast<int>(start), static_cast<int>(v), scale, all.top, done, wanted);
}

// The first token of a row whose logit is `top`; by a block.
template <typename E>
__device__ int likeliest(const E* x, int v, float top) {
    __shared__ int firsts[MOST_WARPS];
    int first = NO_TOKEN;
    for (int c = threadIdx.x; c < v && first == NO_TOKEN; c += blockDim.x)
        if (get(x[c]) == top) first = c;
    return least(first, firsts);
}

// Draws a token for each row of logits x [n, v] times `scale` by its uniform number, or takes the likeliest where there are none
// (and `scale` is 1); out [n, 2]: the token, and its log-probability. A block for each row.
template <typename E>
__device__ void sample(const E* x, const double* uniforms, double* out, int64 v, float scale) {
    __shared__ Exponentials room[MOST_WARPS];
    x += blockIdx.x * v;
    Exponentials all = of_row(x, v, scale, room);
    int token = uniforms ? drawn(x, v, scale, all, uniforms[blockIdx.x], room) : likeliest(x, static_cast<int>(v), all.top);
    if (threadIdx.x > 0) return;
    // Where logits are no numbers there is no token.
    token = token < v ? token : 0;
    out[2 * blockIdx.x] = token;
    out[2 * blockIdx.x + 1] = get(x[token]) * scale - all.top - logf(all.sum);
}

// Places that one block reads, and its threads; the channels of all its query heads together are no more than CHANNELS.
#define SPLIT 128
#define CHANNELS 1024

// Attention of each row's newest token, qkv [n, (h + 2g) d] and angles [n, d], over its slot of the cache [slots, g, t, d] up to its
// position, where its own key, turned, and value are put; no further back than `window` places if that is above 0. Block (s, k, i)
// reads places s SPLIT and following for token i and for up to R query heads of one key head; it leaves in
// parts [n, h, splits, d + 2] what `decode_join` puts together: the largest score, the sum of weights, and the weighted values.
template <typename E, int R>
__device__ void decode(const E* __restrict__ qkv, const E* __restrict__ cos, const E* __restrict__ sin, E* keys, E* values,
                       const int64* __restrict__ positions, float* parts, int h, int g, int d, int64 t, int64 window,
                       float scale) {
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
    // Of this block's places: the newest token's own, which may be none, and the first and the end of those that it sees.
    int own_place = static_cast<int>(min(last - start, static_cast<int64>(SPLIT))), end = min(SPLIT, own_place + 1);
    int begin = window > 0 ? static_cast<int>(max(static_cast<int64>(0), last + 1 - window - start)) : 0;

    // The queries, of which there are zeros where R is more than there are, and the newest key.
    qkv += token * (h + 2 * g) * d;
    const E *own_query = qkv + (key_head * group + first) * d, *own_key = qkv + (h + key_head) * d, *own_value = own_key + g * d;
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

#define KERNELS_OF(E, type)                                                                                                  \
    extern "C" __global__ void rms_norm_##type(const E* x, const E* weight, E* y, float* inverses, int64 d, float eps) {     \
        rms_norm(x, weight, y, inverses, d, eps);                                                                            \
    }                                                                                                                        \
    extern "C" __global__ void __launch_bounds__(WIDEST / Pack<E>::COUNT)                                                    \
        rms_norm_backward_##type(const E* x, const E* weight, const float* inverses, const E* dy, const E* through, E* dx,   \
                                 float* parts, int64 n, int64 d, int64 rows) {                                               \
        rms_norm_backward(x, weight, inverses, dy, through, dx, parts, n, d, rows);                                          \
    }                                                                                                                        \
    extern "C" __global__ void swiglu_forward_##type(const E* x, E* y, int64 f) { swiglu_forward(x, y, f); }                 \
    extern "C" __global__ void swiglu_backward_##type(const E* dy, const E* x, E* dx, int64 f) {                             \
        swiglu_backward(dy, x, dx, f);                                                                                       \
    }                                                                                                                        \
    extern "C" __global__ void rotate_##type(const E* x, const E* cos, const E* sin, E* y, int64 channels, int heads, int d, \
                                             float sign) {                                                                   \
        rotate(x, cos, sin, y, channels, heads, d, sign);                                                                    \
    }                                                                                                                        \
    extern "C" __global__ void log_probs_##type(const E* x, const int64* targets, float* out, float* lse, int64 v,           \
                                                float scale) {                                                               \
        log_probs(x, targets, out, lse, v, scale);                                                                           \
    }                                                                                                                        \
    extern "C" __global__ void log_probs_backward_##type(const E* x, const int64* targets, const float* lse,                 \
                                                         const float* dy, E* dx, int64 v, float scale) {                     \
        log_probs_backward(x, targets, lse, dy, dx, v, scale);                                                               \
    }                                                                                                                        \
    extern "C" __global__ void sample_##type(const E* x, const double* uniforms, double* out, int64 v, float scale) {        \
        sample(x, uniforms, out, v, scale);                                                                                  \
    }                                                                                                                        \
    extern "C" __global__ void decode_join_##type(const float* parts, E* out, int splits, int d) {                           \
        decode_join(parts, out, splits, d);                                                                                  \
    }

// For up to R query heads of a key head.
#define DECODE_OF(E, type, R) DECODE_NAMED(E, type, R)
#define DECODE_NAMED(E, type, R)                                                                                             \
    extern "C" __global__ void decode_##R##_##type(const E* qkv, const E* cos, const E* sin, E* keys, E* values,             \
                                                   const int64* positions, float* parts, int h, int g, int d, int64 t,       \
                                                   int64 window, float scale) {                                              \
        decode<E, R>(qkv, cos, sin, keys, values, positions, parts, h, g, d, t, window, scale);                              \
    }

// What is compiled together: all but `decode`, or that for HEADS query heads.
#ifdef HEADS
DECODE_OF(float, float, HEADS)
DECODE_OF(Brain, brain, HEADS)
#else
KERNELS_OF(float, float)
KERNELS_OF(Brain, brain)
#endif

#ifdef KERNELS_ON_HOST
DECODE_OF(float, float, 1)
DECODE_OF(float, float, 2)
DECODE_OF(float, float, 4)
DECODE_OF(float, float, 8)
DECODE_OF(Brain, brain, 1)
DECODE_OF(Brain, brain, 2)
DECODE_OF(Brain, brain, 4)
DECODE_OF(Brain, brain, 8)
#define FOR_ALL_KERNELS(X)                                                                                           \
    X(rms_norm_float) X(rms_norm_brain) X(rms_norm_backward_float) X(rms_norm_backward_brain)                             \
    X(swiglu_forward_float) X(swiglu_forward_brain) X(swiglu_backward_float) X(swiglu_backward_brain) X(rotate_float)   \
    X(rotate_brain) X(log_probs_float) X(log_probs_brain) X(log_probs_backward_float) X(log_probs_backward_brain)       \
    X(sample_float) X(sample_brain) X(decode_1_float) X(decode_2_float)       \
    X(decode_4_float) X(decode_8_float) X(decode_1_brain) X(decode_2_brain) X(decode_4_brain) X(decode_8_brain)         \
    X(decode_join_float) X(decode_join_brain)
#endif
