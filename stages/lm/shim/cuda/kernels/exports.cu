// The kernels' exported names, for each element type.

#define KERNELS_OF(E, type)                                                                                           \
    extern "C" __global__ void rms_norm_##type(const E* x, const E* weight, E* y, float* inverses, int64 d,           \
                                               float eps) {                                                           \
        rms_norm(x, weight, y, inverses, d, eps);                                                                     \
    }                                                                                                                 \
    extern "C" __global__ void __launch_bounds__(WIDEST / Pack<E>::COUNT)                                             \
        rms_norm_backward_##type(const E* x, const E* weight, const float* inverses, const E* dy, const E* through,   \
                                 E* dx, float* parts, int64 n, int64 d, int64 rows) {                                 \
        rms_norm_backward(x, weight, inverses, dy, through, dx, parts, n, d, rows);                                   \
    }                                                                                                                 \
    extern "C" __global__ void swiglu_forward_##type(const E* x, E* y, int64 f) { swiglu_forward(x, y, f); }          \
    extern "C" __global__ void swiglu_backward_##type(const E* dy, const E* x, E* dx, int64 f) {                      \
        swiglu_backward(dy, x, dx, f);                                                                                \
    }                                                                                                                 \
    extern "C" __global__ void rotate_##type(const E* x, const E* cos, const E* sin, E* y, int64 channels, int heads, \
                                             int d, float sign) {                                                     \
        rotate(x, cos, sin, y, channels, heads, d, sign);                                                             \
    }                                                                                                                 \
    extern "C" __global__ void log_probs_##type(const E* x, const int64* targets, float* out, float* lse, int64 v,    \
                                                float scale) {                                                        \
        log_probs(x, targets, out, lse, v, scale);                                                                    \
    }                                                                                                                 \
    extern "C" __global__ void log_probs_backward_##type(const E* x, const int64* targets, const float* lse,          \
                                                         const float* dy, E* dx, int64 v, float scale) {              \
        log_probs_backward(x, targets, lse, dy, dx, v, scale);                                                        \
    }                                                                                                                 \
    extern "C" __global__ void sample_##type(const E* x, const double* uniforms, double* out, int64 v, float scale) { \
        sample(x, uniforms, out, v, scale);                                                                           \
    }                                                                                                                 \
    extern "C" __global__ void decode_join_##type(const float* parts, E* out, int splits, int d) {                    \
        decode_join(parts, out, splits, d);                                                                           \
    }

// The decode kernel for up to R query heads of a key head.
#define DECODE_OF(E, type, R) DECODE_NAMED(E, type, R)
#define DECODE_NAMED(E, type, R)                                                                                       \
    extern "C" __global__ void decode_##R##_##type(const E* qkv, const E* cos, const E* sin, E* keys, E* values,       \
                                                   const int64* positions, float* parts, int h, int g, int d, int64 t, \
                                                   int64 window, float scale) {                                        \
        decode<E, R>(qkv, cos, sin, keys, values, positions, parts, h, g, d, t, window, scale);                        \
    }

// Compiled together: all kernels except `decode`, or with HEADS only `decode` for that many query heads.
#ifdef HEADS
DECODE_OF(float, float, HEADS)
DECODE_OF(Bf16, bf16, HEADS)
#else
KERNELS_OF(float, float)
KERNELS_OF(Bf16, bf16)
#endif

#ifdef KERNELS_ON_HOST
DECODE_OF(float, float, 1)
DECODE_OF(float, float, 2)
DECODE_OF(float, float, 4)
DECODE_OF(float, float, 8)
DECODE_OF(Bf16, bf16, 1)
DECODE_OF(Bf16, bf16, 2)
DECODE_OF(Bf16, bf16, 4)
DECODE_OF(Bf16, bf16, 8)
#define FOR_ALL_KERNELS(X)                                                                                        \
    X(rms_norm_float)                                                                                             \
    X(rms_norm_bf16) X(rms_norm_backward_float) X(rms_norm_backward_bf16) X(swiglu_forward_float)               \
        X(swiglu_forward_bf16) X(swiglu_backward_float) X(swiglu_backward_bf16) X(rotate_float) X(rotate_bf16) \
            X(log_probs_float) X(log_probs_bf16) X(log_probs_backward_float) X(log_probs_backward_bf16)         \
                X(sample_float) X(sample_bf16) X(decode_1_float) X(decode_2_float) X(decode_4_float)             \
                    X(decode_8_float) X(decode_1_bf16) X(decode_2_bf16) X(decode_4_bf16) X(decode_8_bf16)     \
                        X(decode_join_float) X(decode_join_bf16)
#endif
