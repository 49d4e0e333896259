// GPU functions that tch 0.24 does not expose: CUDA graphs, streams, memory statistics. CUDA's symbols are looked up in
// `libtorch_cuda.so` when first needed; a build needs neither it nor CUDA's headers.
#include "shim.h"

#include <c10/core/CachingDeviceAllocator.h>
#include <c10/core/Event.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <dlfcn.h>
#include <map>
#include <memory>

namespace {

// The same as c10::MempoolId_t and cudaStreamCaptureModeGlobal.
typedef std::pair<unsigned long long, unsigned long long> Pool;
const int CAPTURE_GLOBAL = 0;

template <typename Function>
Function* symbol(const char* name) {
    void* found = dlsym(RTLD_DEFAULT, name);
    TORCH_CHECK(found, "libtorch_cuda.so of 2.11.0 has `", name, "`; it is not loaded, or another version is");
    return reinterpret_cast<Function*>(found);
}

// at::cuda::CUDAGraph, called by its mangled names.
class CudaGraph {
   public:
    CudaGraph() { symbol<void(void*, bool)>("_ZN2at4cuda9CUDAGraphC1Eb")(self_, false); }
    CudaGraph(const CudaGraph&) = delete;
    ~CudaGraph() { symbol<void(void*)>("_ZN2at4cuda9CUDAGraphD1Ev")(self_); }

    void begin(Pool pool) {
        symbol<void(void*, Pool, int)>("_ZN2at4cuda9CUDAGraph13capture_beginESt4pairIyyE21cudaStreamCaptureMode")(
            self_, pool, CAPTURE_GLOBAL);
    }
    void end() { symbol<void(void*)>("_ZN2at4cuda9CUDAGraph11capture_endEv")(self_); }
    void replay() { symbol<void(void*)>("_ZN2at4cuda9CUDAGraph6replayEv")(self_); }

   private:
    // The object has 104 bytes in libtorch 2.11.0.
    alignas(16) char self_[256];
};

// Makes `next` the current stream, ordered after all work so far on the previous stream, and returns the previous
// stream.
c10::Stream follow(c10::Stream next) {
    c10::impl::VirtualGuardImpl gpu(next.device_type());
    c10::Event given(next.device_type());
    given.record(gpu.getStream(next.device()));
    given.block(next);
    return gpu.exchangeStream(next);
}

// CUDA cannot capture the default stream. All graphs are captured on one other stream, because each stream keeps a
// cuBLAS workspace permanently.
c10::Stream side_stream(c10::Device device) {
    static std::map<c10::DeviceIndex, c10::Stream> streams;
    auto known = streams.find(device.index());
    if (known != streams.end()) return known->second;
    c10::Stream made = c10::impl::VirtualGuardImpl(device.type()).getStreamFromGlobalPool(device);
    return streams.emplace(device.index(), made).first->second;
}

struct Graph {
    explicit Graph(c10::Device device) : before(follow(side_stream(device))) {}

    CudaGraph cuda;
    c10::Stream before;
};

c10::DeviceIndex index_of(int64_t index) { return static_cast<c10::DeviceIndex>(index); }

// The allocator has no device before a device's first use.
c10::DeviceAllocator* allocator() {
    at::globalContext().lazyInitDevice(at::kCUDA);
    return c10::getDeviceAllocator(at::kCUDA);
}

}  // namespace

extern "C" {

// Returns the id of a memory pool for graphs that are replayed one at a time. The pool lives as long as any of its
// graphs.
char* r1flow_graph_pool(unsigned long long* pool) {
    return guarded([&] {
        Pool made = symbol<Pool()>("_ZN2at4cuda17graph_pool_handleEv")();
        pool[0] = made.first;
        pool[1] = made.second;
    });
}

// From here to r1flow_graph_end, work for GPU `index` is captured instead of executed.
char* r1flow_graph_begin(int64_t index, const unsigned long long* pool, void** graph) {
    return guarded([&] {
        auto made = std::make_unique<Graph>(c10::Device(at::kCUDA, index_of(index)));
        try {
            made->cuda.begin({pool[0], pool[1]});
        } catch (...) {
            follow(made->before);
            throw;
        }
        *graph = made.release();
    });
}

char* r1flow_graph_end(void* graph) {
    return guarded([&] {
        Graph* made = static_cast<Graph*>(graph);
        try {
            made->cuda.end();
        } catch (...) {
            follow(made->before);
            throw;
        }
        follow(made->before);
    });
}

// Executes the captured work, on the same memory.
char* r1flow_graph_replay(void* graph) {
    return guarded([&] { static_cast<Graph*>(graph)->cuda.replay(); });
}

void r1flow_graph_free(void* graph) { delete static_cast<Graph*>(graph); }

// Returns a GPU's memory in bytes: allocated now, the peak since the last reset, and free.
char* r1flow_device_memory(int64_t index, int64_t* bytes) {
    return guarded([&] {
        c10::DeviceAllocator* memory = allocator();
        auto stats = memory->getDeviceStats(index_of(index));
        auto all = static_cast<size_t>(c10::CachingAllocator::StatType::AGGREGATE);
        bytes[0] = stats.allocated_bytes[all].current;
        bytes[1] = stats.allocated_bytes[all].peak;
        // Memory that the allocator has reserved but not allocated counts as free.
        bytes[2] = static_cast<int64_t>(memory->getMemoryInfo(index_of(index)).first) +
                   stats.reserved_bytes[all].current - stats.allocated_bytes[all].current;
    });
}

char* r1flow_reset_device_peak(int64_t index) {
    return guarded([&] { allocator()->resetPeakStats(index_of(index)); });
}

}  // extern "C"
