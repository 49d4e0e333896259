// What a launch of a kernel goes through: from its name and parameters to its threads.
#pragma once

#include <functional>
#include <string_view>

namespace simulated {

struct Size {
    unsigned x, y, z;
};

struct Kernel {
    const char* name;
    // What one thread does, given a launch's parameters as the device knows them; they are copied.
    std::function<void()> (*bind)(void** params);
};

// The kernel of this name, or null.
const Kernel* find_kernel(std::string_view name);

// The source that the kernels were compiled from.
std::string_view kernels_source();

// Runs `thread` for every thread of a grid, block after block.
void run_grid(const char* name, Size grid, Size block, const std::function<void()>& thread);

// As in gpu.h, which brings all of libtorch's headers.
void* view(const void* address);

}  // namespace simulated
