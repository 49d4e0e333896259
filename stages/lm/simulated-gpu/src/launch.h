// Launching a kernel: from its name and parameters to its threads.
#pragma once

#include <functional>
#include <string_view>

namespace simulated {

struct Size {
    unsigned x, y, z;
};

struct Kernel {
    const char* name;
    // Returns the function of one thread, for a launch's parameters with device addresses; the parameters are copied.
    std::function<void()> (*bind)(void** params);
};

// Returns the kernel of this name, or null.
const Kernel* find_kernel(std::string_view name);

// Returns the source that the kernels were compiled from.
std::string_view kernels_source();

// Runs `thread` for every thread of a grid, block after block.
void run_grid(const char* name, Size grid, Size block, const std::function<void()>& thread);

// The same as in gpu.h, which would include all of libtorch's headers.
void* view(const void* address);

}  // namespace simulated
