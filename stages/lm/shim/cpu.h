// What the files between libtorch and the CPU kernels share.
#pragma once

#include <ATen/Parallel.h>

#include "kernels.h"
#include "shim.h"

// What a kernel works on: single precision without gaps. Brain floats are widened, and narrowed again by `like`.
inline at::Tensor plain(const at::Tensor& x) {
    TORCH_CHECK(x.device().is_cpu() && (x.scalar_type() == at::kFloat || x.scalar_type() == at::kBFloat16),
                "a CPU kernel takes single precision or brain floats on the CPU");
    return x.to(at::kFloat).contiguous();
}

inline at::Tensor like(const at::Tensor& x, const at::Tensor& result) { return result.to(x.scalar_type()); }

// Rows per parallel piece, so that a piece is worth waking a thread for.
inline int64_t grain(int64_t work_per_row) { return std::max<int64_t>(1, 16384 / std::max<int64_t>(1, work_per_row)); }
