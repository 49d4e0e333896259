// Launching the kernels of `kernels`: NVRTC compiles them for the card at hand when the first is wanted, CUDA's driver
// runs them. Both are looked up beside `libtorch_cuda.so`; a build needs neither them nor their headers.
#pragma once

#include "../shim.h"

namespace cuda {

struct Grid {
    unsigned x, y = 1, z = 1;
};

// A kernel, and for how many query heads it is compiled where that matters.
struct Kernel {
    const char* name;
    int heads = 0;
};

// Compiles the kernels for a device, once, but for those whose heads are not known yet. Throws what stands in the way.
void prepare(c10::Device device);

// A device's multiprocessors; 0 where the driver cannot be asked.
int64_t multiprocessors(c10::Device device);

// Launches a kernel for bf16 or f32 on the current stream of a device; `arguments` points to
// each of its parameters.
void launch(c10::Device device, Kernel kernel, bool is_bf16, Grid grid, unsigned threads, void** arguments);

// Launches a kernel for what `x` holds, with arguments of just the types of the parameters.
template <typename... Arguments>
void launch(const at::Tensor& x, Kernel kernel, Grid grid, unsigned threads, Arguments... arguments) {
    if (grid.x == 0) return;
    void* list[] = {const_cast<void*>(static_cast<const void*>(&arguments))...};
    bool is_bf16 = x.scalar_type() == at::kBFloat16;
    TORCH_CHECK(is_bf16 || x.scalar_type() == at::kFloat, "a kernel takes f32 or bf16");
    launch(x.device(), kernel, is_bf16, grid, threads, list);
}

}  // namespace cuda
