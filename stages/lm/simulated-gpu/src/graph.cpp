// CUDA graphs: work that is launched during a capture takes effect at each replay, and not before.
#include "gpu.h"

#include <c10/core/impl/VirtualGuardImpl.h>
#include <map>
#include <memory>
#include <vector>

namespace simulated {
namespace {

struct Recording {
    std::vector<std::function<void()>> kernels;
    // The contents of memory before a captured kernel wrote to it.
    std::vector<std::pair<at::Tensor, at::Tensor>> before;
};

Recording* current = nullptr;

}  // namespace

bool is_capturing() { return current; }

void record(std::function<void()> kernel) { current->kernels.push_back(std::move(kernel)); }

void before_write(const at::Tensor& x) {
    if (!current || x.numel() == 0) return;
    at::Tensor host = on_host(x);
    current->before.emplace_back(host, host.clone());
}

void refuse_in_capture(const char* what) {
    TORCH_CHECK(!current, "operation not permitted when stream is capturing: ", what);
}

}  // namespace simulated

// Names and calling convention are those of libtorch_cuda.so, so that a lookup of its symbols finds these.
enum cudaStreamCaptureMode { cudaStreamCaptureModeGlobal };

namespace at::cuda {

struct CUDAGraph {
    explicit CUDAGraph(bool keep_graph);
    ~CUDAGraph();
    void capture_begin(std::pair<unsigned long long, unsigned long long> pool, cudaStreamCaptureMode mode);
    void capture_end();
    void replay();

   private:
    unsigned long long pool_ = 0;
    std::unique_ptr<simulated::Recording> recording_;
};

// Number of graphs of each memory pool. Here, graphs do not share memory.
std::map<unsigned long long, int> users;

__attribute__((used)) std::pair<unsigned long long, unsigned long long> graph_pool_handle() {
    static unsigned long long last = 0;
    return {0, ++last};
}

__attribute__((used)) CUDAGraph::CUDAGraph(bool) {}
__attribute__((used)) CUDAGraph::~CUDAGraph() {
    if (pool_) --users[pool_];
}

__attribute__((used)) void CUDAGraph::capture_begin(std::pair<unsigned long long, unsigned long long> pool,
                                                    cudaStreamCaptureMode) {
    bool aside = c10::impl::VirtualGuardImpl(c10::kCUDA).getStream(c10::Device(c10::kCUDA, 0)).id() != 0;
    TORCH_CHECK(aside, "CUDA graphs must be captured on a non-default stream.");
    TORCH_CHECK(!simulated::current, "a graph is being captured already");
    TORCH_CHECK(!simulated::lacks("graphs"), "operation not supported: simulated");
    // A pool ends with its last graph.
    TORCH_CHECK(!users.count(pool.second) || users[pool.second] > 0, "it->second->use_count > 0 INTERNAL ASSERT FAILED");
    pool_ = pool.second;
    ++users[pool_];
    recording_ = std::make_unique<simulated::Recording>();
    simulated::current = recording_.get();
}

__attribute__((used)) void CUDAGraph::capture_end() {
    simulated::current = nullptr;
    for (auto it = recording_->before.rbegin(); it != recording_->before.rend(); ++it) it->first.copy_(it->second);
    recording_->before.clear();
    ++simulated::counts().captures;
}

__attribute__((used)) void CUDAGraph::replay() {
    TORCH_CHECK(recording_ && !simulated::current, "a graph is replayed after it is captured");
    for (const auto& kernel : recording_->kernels) kernel();
    ++simulated::counts().replays;
}

}  // namespace at::cuda
