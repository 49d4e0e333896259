// One set of kernels; build.rs compiles this file once for each instruction set, with LEVEL as the set's name.
#include "kernels_attention.h"
#include "kernels_layers.h"

extern const Kernels LEVEL = {
    norm_forward,      norm_backward,     swiglu_forward, swiglu_backward,    rotate,
    attention_scratch, attention_forward, attention_backward, cache_write,    decode,
    few_products,      log_sum_exp,       log_prob_backward,  weigh,
};
