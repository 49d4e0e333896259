// One set of kernels; build.rs compiles this file once for each instruction set, with LEVEL as the set's name.
#include "kernels_decode.h"
#include "kernels_layers.h"

namespace {

template <typename E>
constexpr ElementKernels<E> elements = {
    norm_forward<E>,      norm_backward<E>,      swiglu_forward<E>, swiglu_backward<E>,   rotate<E>,
    attention_forward<E>, attention_backward<E>, log_sum_exp<E>,    log_prob_backward<E>,
};

}  // namespace

extern const Kernels LEVEL = {
    elements<float>, elements<Bf16>, attention_scratch, decode_scratch, cache_write, decode, few_token_matmul, weigh,
    squares,
};
