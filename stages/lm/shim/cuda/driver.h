// Launches the kernels in `kernels`. NVRTC compiles them for the GPU when the first one is needed, and CUDA's driver
// runs them. Both are looked up beside `libtorch_cuda.so`; a build needs neither them nor their headers.
#pragma once

#include "../shim.h"

namespace cuda {

struct Grid {
    unsigned x, y = 1, z = 1;
};

// A kernel, and the number of query heads that it is compiled for, if that matters.
struct Kernel {
    const char* name;
    int heads = 0;
};

// Compiles the kernels for a device, once, except those for a number of heads. Throws if that fails.
void prepare(c10::Device device);

// Returns a device's number of multiprocessors; 0 if the driver is not available.
int64_t multiprocessors(c10::Device device);

// Launches a kernel for bf16 or f32 on the current stream of a device; `arguments` points to
// each of its parameters.
void launch(c10::Device device, Kernel kernel, bool is_bf16, Grid grid, unsigned threads, void** arguments);

// Launches a kernel for the element type of `x`. The arguments must have exactly the types of the kernel's parameters.
template <typename... Arguments>
void launch(const at::Tensor& x, Kernel kernel, Grid grid, unsigned threads, Arguments... arguments) {
    if (grid.x == 0) return;
    void* list[] = {const_cast<void*>(static_cast<const void*>(&arguments))...};
    bool is_bf16 = x.scalar_type() == at::kBFloat16;
    TORCH_CHECK(is_bf16 || x.scalar_type() == at::kFloat, "a kernel takes f32 or bf16");
    launch(x.device(), kernel, is_bf16, grid, threads, list);
}

}  // namespace cuda
