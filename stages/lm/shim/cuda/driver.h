// Launching the kernels of kernels.cu: NVRTC compiles them for the card at hand when the first is wanted, CUDA's driver runs
// them. Both are looked up beside `libtorch_cuda.so`; a build needs neither them nor their headers.
#pragma once

#include "../shim.h"

#include <string>

namespace cuda {

struct Grid {
    unsigned x, y = 1, z = 1;
};

// Compiles the kernels for a device, once. Throws what stands in the way.
void prepare(c10::Device device);

// A device's multiprocessors; 0 where the driver cannot be asked.
int64_t multiprocessors(c10::Device device);

// Launches the kernel `name` on the current stream of a device; `arguments` points to each of its parameters.
void launch(c10::Device device, const std::string& name, Grid grid, unsigned threads, void** arguments);

// Launches `name`_float or `name`_brain, as `x` holds, with arguments of just the types of the parameters.
template <typename... Arguments>
void launch(const at::Tensor& x, const char* name, Grid grid, unsigned threads, Arguments... arguments) {
    if (grid.x == 0) return;
    void* list[] = {const_cast<void*>(static_cast<const void*>(&arguments))...};
    bool brain = x.scalar_type() == at::kBFloat16;
    TORCH_CHECK(brain || x.scalar_type() == at::kFloat, "a kernel takes single precision or brain floats");
    launch(x.device(), std::string(name) + (brain ? "_brain" : "_float"), grid, threads, list);
}

}  // namespace cuda
