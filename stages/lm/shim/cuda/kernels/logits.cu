// Log-probabilities and the drawing of tokens. Shapes: n tokens, v vocabulary. One block for each token.

// The largest of some numbers, and the sum of their exponentials relative to the largest.
struct Exponentials {
    float top, sum;

    __device__ void add(Exponentials other) {
        float next = fmaxf(top, other.top);
        sum = sum * expf(top - next) + other.sum * expf(other.top - next);
        top = next;
    }
};

// Combines the values of all threads of a block; every thread gets the result. `room` has MOST_WARPS elements.
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

// Returns the number of elements of a row of logits for each warp of a block.
template <typename E>
__device__ inline int64 stretch(int64 v) {
    int64 at_once = WARP * Pack<E>::COUNT, warps = blockDim.x / WARP;
    return (v + at_once * warps - 1) / (at_once * warps) * at_once;
}

// Computes the Exponentials of one row of logits with a block; `room` then contains those of each warp's stretch.
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

// ln p(target) of logits x [n, v] times `scale`, and the logarithm of the sum of exponentials; NaN for a target outside
// the vocabulary.
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

// Returns the sum over a block's threads before this one, and stores the sum over all threads. `room` has MOST_WARPS
// elements.
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

// Returns the minimum over all threads of a block, to every thread. `room` has MOST_WARPS elements.
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

// Returns, with a block, the first token of a row from `start` on at which the cumulated weight exceeds `wanted`. A
// token's weight is exp(x scale - top); the tokens before `start` have weight `done`. If rounding leaves the total
// below `wanted`, it is the last token with any weight.
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
        // The condition is the same for all threads, so that all reach the barriers in `least`.
        if (done > wanted) {
            first = least(first, firsts);
            if (first != NO_TOKEN) return first;
        }
    }
    return -least(-last, firsts);
}

// The same, but starts at the stretch that must contain the token; `room` is as `of_row` left it.
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

// Returns, with a block, the first token of a row whose logit is `top`.
template <typename E>
__device__ int likeliest(const E* x, int v, float top) {
    __shared__ int firsts[MOST_WARPS];
    int first = NO_TOKEN;
    for (int c = threadIdx.x; c < v && first == NO_TOKEN; c += blockDim.x)
        if (get(x[c]) == top) first = c;
    return least(first, firsts);
}

// Draws a token for each row of logits x [n, v] times `scale` by its uniform number, or takes the likeliest if
// `uniforms` is null (and `scale` is 1). out [n, 2]: the token and its log-probability. One block for each row.
template <typename E>
__device__ void sample(const E* x, const double* uniforms, double* out, int64 v, float scale) {
    __shared__ Exponentials room[MOST_WARPS];
    x += blockIdx.x * v;
    Exponentials all = of_row(x, v, scale, room);
    int token =
        uniforms ? drawn(x, v, scale, all, uniforms[blockIdx.x], room) : likeliest(x, static_cast<int>(v), all.top);
    if (threadIdx.x > 0) return;
    // If logits are NaN, no token is found.
    token = token < v ? token : 0;
    out[2 * blockIdx.x] = token;
    out[2 * blockIdx.x + 1] = get(x[token]) * scale - all.top - logf(all.sum);
}
