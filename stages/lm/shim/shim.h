// What the shim's files share: the calling convention with Rust.
//
// A tensor crosses as at::Tensor*, as in torch-sys. A call that can throw returns nullptr, or a message made with
// malloc that the caller frees with r1flow_free. No exception ever crosses into Rust.
#pragma once

#include <ATen/ATen.h>
#include <cstdlib>
#include <cstring>
#include <exception>

typedef at::Tensor* tensor;

inline char* message_of(const char* text) {
    size_t size = std::strlen(text) + 1;
    char* copy = static_cast<char*>(std::malloc(size));
    if (copy) std::memcpy(copy, text, size);
    return copy;
}

// Runs `body` and turns an exception into a message.
template <typename Body>
char* guarded(Body body) {
    try {
        body();
        return nullptr;
    } catch (const c10::Error& error) {
        return message_of(error.what_without_backtrace());
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
