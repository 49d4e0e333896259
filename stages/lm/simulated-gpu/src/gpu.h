// Shared by the parts of the simulated GPU: its memory, its counters, and the graph being captured.
#pragma once

#include <ATen/ATen.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <cstdint>
#include <functional>
#include <map>
#include <string>

namespace simulated {

struct Counts {
    int64_t launches = 0;
    int64_t to_host = 0;
    int64_t to_device = 0;
    int64_t flash = 0;
    int64_t captures = 0;
    int64_t replays = 0;
    // Launches by operation.
    std::map<std::string, int64_t> operations;
};
Counts& counts();

// Returns whether the variable SIMULATED_GPU_LACKS contains `what`.
bool lacks(const char* what);

// Returns the host's address of a device address: where kernels read and write.
void* view(const void* address);

// Returns a CPU tensor over the same memory, with the same shape.
at::Tensor on_host(const at::Tensor& x);

// Returns a new device tensor with the contents of the CPU tensor `x`.
at::Tensor on_device(const at::Tensor& x);

// Returns whether a graph is being captured. During a capture, kernels are recorded, and nothing may reach the host.
bool is_capturing();
void record(std::function<void()> kernel);
// To be called before a captured kernel writes to `x`: the end of the capture restores the old contents.
void before_write(const at::Tensor& x);
void refuse_in_capture(const char* what);

}  // namespace simulated
