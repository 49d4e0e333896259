// What the parts of the simulated GPU share: its memory, its counts, and the graph that is being captured.
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

// Whether the variable SIMULATED_GPU_LACKS names this.
bool lacks(const char* what);

// The host's view of an address of the device: where kernels read and write.
void* view(const void* address);

// A tensor of the CPU over the same memory, of the same form.
at::Tensor on_host(const at::Tensor& x);

// A new tensor of the device that holds what `x`, of the CPU, holds.
at::Tensor on_device(const at::Tensor& x);

// Whether a graph is being captured; then kernels hand over what they did, and nothing may reach the host.
bool is_capturing();
void record(std::function<void()> kernel);
// Memory that a captured kernel is about to write: the capture gives it back as it was.
void before_write(const at::Tensor& x);
void refuse_in_capture(const char* what);

}  // namespace simulated
