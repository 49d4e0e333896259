// Norms, SwiGLU and rotary positions. Shapes: n tokens, d width, f width of gate or up, h heads. One block for each
// token, except in the gradient of a norm.

// y = x / rms(x) * weight for x [n, d]; and 1 / rms(x), [n], unless `inverses` is null.
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

// The widest norm, in channels, whose gradient a block can compute.
#define WIDEST 4096

// The gradient of the norm: dx for dy, plus the residual stream's gradient `through` unless it is null; and the
// weight's gradient summed over the tokens of each block, parts [blocks, d]. One block for `rows` tokens, with one
// thread for each pack of channels.
template <typename E>
__device__ void rms_norm_backward(const E* __restrict__ x, const E* __restrict__ weight,
                                  const float* __restrict__ inverses, const E* __restrict__ dy,
                                  const E* __restrict__ through, E* __restrict__ dx, float* parts, int64 n, int64 d,
                                  int64 rows) {
    const int COUNT = Pack<E>::COUNT, TOGETHER = 2;
    // Two buffers, so that a warp may be one step ahead of another.
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

// y [n, f] = silu(gate) * up for x [n, 2f]: gates, then ups.
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

// Rotates a pack of a head's channels, from c on, by its angles, or back if `sign` is -1. Both halves of a head have
// the same angles.
template <typename E>
__device__ inline void turn(const E* head, const E* cos, const E* sin, int c, int d, float sign, float* turned) {
    int half = d / 2, angle = c < half ? c : c - half;
    Pack<E> own = load(head + c), other = load(head + (c < half ? c + half : c - half));
    Pack<E> cosines = load(cos + angle), sines = load(sin + angle);
    float towards = c < half ? -sign : sign;
    for (int k = 0; k < Pack<E>::COUNT; ++k)
        turned[k] = get(own.of[k]) * get(cosines.of[k]) + get(other.of[k]) * towards * get(sines.of[k]);
}

// Rotates the first `heads` heads of x [n, channels] by angles [n, d], or back if `sign` is -1; copies the other
// channels.
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
