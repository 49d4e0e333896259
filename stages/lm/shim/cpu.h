// Shared by the files between libtorch and the CPU kernels.
#pragma once

#include <ATen/Parallel.h>

#include "kernels.h"
#include "shim.h"

inline bool is_bf16(const at::Tensor& x) { return x.scalar_type() == at::kBFloat16; }

inline void check_elements(const at::Tensor& x) {
    TORCH_CHECK(x.device().is_cpu() && (x.scalar_type() == at::kFloat || is_bf16(x)),
                "a CPU kernel takes f32 or bf16 on the CPU");
}

// The input of kernels for both element types: a contiguous tensor of f32 or bf16.
inline at::Tensor dense(const at::Tensor& x) {
    check_elements(x);
    return x.contiguous();
}

// The input of kernels for f32 only. bf16 is converted to f32; `like` converts the result back.
inline at::Tensor plain(const at::Tensor& x) {
    check_elements(x);
    return x.to(at::kFloat).contiguous();
}

inline at::Tensor like(const at::Tensor& x, const at::Tensor& result) { return result.to(x.scalar_type()); }

inline at::TensorOptions floats(const at::Tensor& x) { return x.options().dtype(at::kFloat); }

// Pointers to the elements of tensors of one type.
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

// Calls work(elements) with the Elements of the type of `x`.
template <typename Work>
void by_element(const at::Tensor& x, Work work) {
    if (is_bf16(x)) {
        work(Elements<Bf16>());
    } else {
        work(Elements<float>());
    }
}

// Rows of a parallel piece, so that a piece is large enough to be worth a thread.
inline int64_t grain(int64_t work_per_row) { return std::max<int64_t>(1, 16384 / std::max<int64_t>(1, work_per_row)); }
