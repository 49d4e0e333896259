// Shared by the shim's files: the calling convention with Rust.
//
// A tensor is passed as at::Tensor*, as in torch-sys. A call that can throw returns nullptr, or a message made with
// malloc, which the caller frees with r1flow_free. A message that begins with OUT_OF_MEMORY means out of memory; the
// caller should not try another kernel, which would need memory, too. No exception crosses into Rust.
#pragma once

#include <ATen/ATen.h>
#include <cstdlib>
#include <cstring>
#include <exception>

typedef at::Tensor* tensor;

const char* const OUT_OF_MEMORY = "\x01";

inline char* message_of(const char* text, const char* kind = "") {
    size_t before = std::strlen(kind), size = std::strlen(text) + 1;
    char* copy = static_cast<char*>(std::malloc(before + size));
    if (!copy) return copy;
    std::memcpy(copy, kind, before);
    std::memcpy(copy + before, text, size);
    return copy;
}

// Returns whether an error is out of memory, reported by the allocator or, for CUDA's own allocations, by CUDA.
inline bool is_out_of_memory(const c10::Error& error) {
    const int32_t CUDA_ERROR_MEMORY_ALLOCATION = 2;
    if (dynamic_cast<const c10::OutOfMemoryError*>(&error)) return true;
    auto* failure = dynamic_cast<const c10::AcceleratorError*>(&error);
    return failure && failure->get_error_code() == CUDA_ERROR_MEMORY_ALLOCATION;
}

// Runs `body` and turns an exception into a message.
template <typename Body>
char* guarded(Body body) {
    try {
        body();
        return nullptr;
    } catch (const c10::Error& error) {
        return message_of(error.what_without_backtrace(), is_out_of_memory(error) ? OUT_OF_MEMORY : "");
    } catch (const std::exception& error) {
        return message_of(error.what());
    } catch (...) {
        return message_of("unknown C++ exception");
    }
}

inline std::vector<at::Tensor> list_of(tensor* tensors, int64_t count) {
    std::vector<at::Tensor> list;
    list.reserve(count);
    for (int64_t i = 0; i < count; ++i) list.push_back(*tensors[i]);
    return list;
}
