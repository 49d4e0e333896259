// What the files between libtorch and the CPU kernels share.
#pragma once

#include <ATen/Parallel.h>

#include "kernels.h"
#include "shim.h"

inline bool is_bf16(const at::Tensor& x) { return x.scalar_type() == at::kBFloat16; }

inline void check_elements(const at::Tensor& x) {
    TORCH_CHECK(x.device().is_cpu() && (x.scalar_type() == at::kFloat || is_bf16(x)),
                "a CPU kernel takes f32 or bf16 on the CPU");
}

// What a kernel of both element types works on: a contiguous tensor of either.
inline at::Tensor dense(const at::Tensor& x) {
    check_elements(x);
    return x.contiguous();
}

// What a kernel of f32 works on. bf16 is widened, and narrowed again by `like`.
inline at::Tensor plain(const at::Tensor& x) {
    check_elements(x);
    return x.to(at::kFloat).contiguous();
}

inline at::Tensor like(const at::Tensor& x, const at::Tensor& result) { return result.to(x.scalar_type()); }

inline at::TensorOptions floats(const at::Tensor& x) { return x.options().dtype(at::kFloat); }

// The elements of tensors of one type, handed out as pointers.
template <typename E>
struct Elements {
    static_assert(sizeof(Bf16) == sizeof(at::BFloat16), "it is laid out as libtorch's");

    const E* of(const at::Tensor& x) const { return static_cast<const E*>(checked(x).const_data_ptr()); }
    E* to(at::Tensor& x) const { return static_cast<E*>(checked(x).mutable_data_ptr()); }
    const ElementKernels<E>& kernels() const { return ::kernels().of(E()); }

 private:
    static const at::Tensor& checked(const at::Tensor& x) {
        constexpr bool wants_bf16 = std::is_same<E, Bf16>::value;
        TORCH_CHECK(x.is_contiguous() && is_bf16(x) == wants_bf16, "tensors of two types, or not contiguous");
        return x;
    }
};

// Calls work(elements) with those of the type of `x`.
template <typename Work>
void by_element(const at::Tensor& x, Work work) {
    if (is_bf16(x)) {
        work(Elements<Bf16>());
    } else {
        work(Elements<float>());
    }
}

// Rows per parallel piece, so that a piece is worth waking a thread for.
inline int64_t grain(int64_t work_per_row) { return std::max<int64_t>(1, 16384 / std::max<int64_t>(1, work_per_row)); }
