// The device: memory that the host cannot access, streams and events without effect, and the hooks by which libtorch
// detects a GPU.
#include "gpu.h"

#include <ATen/detail/CUDAHooksInterface.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <sys/mman.h>
#include <vector>

namespace simulated {
namespace {

const size_t SIZE = size_t(16) << 30;
const size_t ALIGNMENT = 512;

// The device's addresses can be neither read nor written; the actual memory is elsewhere.
class Memory final : public c10::DeviceAllocator {
   public:
    Memory() {
        auto reserve = [](int protection) {
            void* start = mmap(nullptr, SIZE, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
            TORCH_CHECK(start != MAP_FAILED, "no address space for a simulated GPU");
            return static_cast<char*>(start);
        };
        addresses_ = reserve(PROT_NONE);
        bytes_ = reserve(PROT_READ | PROT_WRITE);
    }

    void* view(const void* address) const {
        size_t offset = static_cast<const char*>(address) - addresses_;
        TORCH_CHECK(!address || offset < SIZE, "this address is not of the device");
        return address ? bytes_ + offset : nullptr;
    }

    c10::DataPtr allocate(size_t asked) override {
        c10::Device device(c10::kCUDA, 0);
        if (asked == 0) return {nullptr, nullptr, &release, device};
        std::lock_guard<std::mutex> lock(mutex_);
        is_awake_ = true;
        size_t size = (asked + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
        char* address = take(size);
        sizes_[address] = size;
        allocated_ += size;
        peak_ = std::max(peak_, allocated_);
        std::memset(view(address), 0xff, size);
        return {address, address, &release, device};
    }

    c10::DeleterFnPtr raw_deleter() const override { return &release; }
    void copy_data(void* to, const void* from, size_t count) const override { std::memcpy(view(to), view(from), count); }
    bool initialized() override { return true; }
    void emptyCache(c10::MempoolId_t) override {}
    void recordStream(const c10::DataPtr&, c10::Stream) override {}
    void resetAccumulatedStats(c10::DeviceIndex) override {}
    void resetPeakStats(c10::DeviceIndex) override {
        check_awake();
        peak_ = allocated_;
    }
    std::pair<size_t, size_t> getMemoryInfo(c10::DeviceIndex) override { return {SIZE - top_, SIZE}; }

    // Called by CUDA's hooks before the first use of a device.
    void wake() { is_awake_ = true; }

    c10::CachingDeviceAllocator::DeviceStats getDeviceStats(c10::DeviceIndex) override {
        check_awake();
        c10::CachingDeviceAllocator::DeviceStats stats;
        auto all = static_cast<size_t>(c10::CachingAllocator::StatType::AGGREGATE);
        stats.allocated_bytes[all].current = allocated_;
        stats.allocated_bytes[all].peak = peak_;
        stats.reserved_bytes[all].current = top_;
        return stats;
    }

   private:
    // Like CUDA's allocator, it has no device before one is used.
    void check_awake() const { TORCH_CHECK(is_awake_, "Invalid device argument "); }

    char* take(size_t size) {
        std::vector<char*>& same = free_[size];
        if (!same.empty()) {
            char* address = same.back();
            same.pop_back();
            return address;
        }
        TORCH_CHECK_WITH(OutOfMemoryError, top_ + size <= SIZE, "CUDA out of memory: simulated");
        char* address = addresses_ + top_;
        top_ += size;
        return address;
    }

    static void release(void* address);

    char* addresses_;
    char* bytes_;
    bool is_awake_ = false;
    size_t top_ = 0;
    size_t allocated_ = 0;
    size_t peak_ = 0;
    std::map<char*, size_t> sizes_;
    std::map<size_t, std::vector<char*>> free_;
    std::mutex mutex_;
};

// Never destroyed: tensors may outlive every other static.
Memory& memory() {
    static Memory* memory = new Memory;
    return *memory;
}

void Memory::release(void* address) {
    // Memory that a captured kernel used belongs to its graph permanently.
    if (!address || is_capturing()) return;
    std::lock_guard<std::mutex> lock(memory().mutex_);
    char* start = static_cast<char*>(address);
    size_t size = memory().sizes_.at(start);
    memory().sizes_.erase(start);
    memory().allocated_ -= size;
    memory().free_[size].push_back(start);
}

struct Guard final : c10::impl::DeviceGuardImplInterface {
    static thread_local c10::StreamId stream;

    c10::Device one() const { return c10::Device(c10::kCUDA, 0); }
    c10::Stream current() const { return c10::Stream(c10::Stream::UNSAFE, one(), stream); }

    c10::DeviceType type() const override { return c10::kCUDA; }
    c10::Device exchangeDevice(c10::Device) const override { return one(); }
    c10::Device getDevice() const override { return one(); }
    void setDevice(c10::Device) const override {}
    void uncheckedSetDevice(c10::Device) const noexcept override {}
    c10::DeviceIndex deviceCount() const noexcept override { return 1; }
    c10::Stream getStream(c10::Device) const override { return current(); }
    c10::Stream getDefaultStream(c10::Device) const override { return c10::Stream(c10::Stream::DEFAULT, one()); }
    c10::Stream getStreamFromGlobalPool(c10::Device, bool) const override { return getNewStream(one(), 0); }
    c10::Stream getNewStream(c10::Device, int) const override {
        static c10::StreamId last = 0;
        return c10::Stream(c10::Stream::UNSAFE, one(), ++last);
    }
    c10::Stream exchangeStream(c10::Stream next) const override {
        c10::Stream before = current();
        stream = next.id();
        return before;
    }
    void* getStreamNativeHandle(const c10::Stream of) const override { return reinterpret_cast<void*>(of.id()); }
    void record(void** event, const c10::Stream&, c10::DeviceIndex, c10::EventFlag) const override { *event = &stream; }
    void block(void*, const c10::Stream&) const override {}
    bool queryEvent(void*) const override { return true; }
    bool queryStream(const c10::Stream&) const override { return true; }
    void synchronizeStream(const c10::Stream&) const override { refuse_in_capture("waiting for a stream"); }
    void synchronizeEvent(void*) const override { refuse_in_capture("waiting for an event"); }
    void synchronizeDevice(c10::DeviceIndex) const override { refuse_in_capture("waiting for the device"); }
};

thread_local c10::StreamId Guard::stream = 0;

struct Hooks final : at::CUDAHooksInterface {
    explicit Hooks(at::CUDAHooksArgs) {}
    void init() const override { memory().wake(); }
    bool isBuilt() const override { return true; }
    bool isAvailable() const override { return true; }
    bool hasCUDA() const override { return true; }
    bool hasCUDART() const override { return true; }
    long versionCUDART() const override { return 13000; }
    bool hasPrimaryContext(c10::DeviceIndex) const override { return true; }
    c10::DeviceIndex deviceCount() const override { return 1; }
    int getNumGPUs() const override { return 1; }
    c10::DeviceIndex current_device() const override { return 0; }
    c10::DeviceIndex getCurrentDevice() const override { return 0; }
    void deviceSynchronize(c10::DeviceIndex) const override { refuse_in_capture("waiting for the device"); }
};

void report() {
    const char* path = std::getenv("SIMULATED_GPU_REPORT");
    FILE* file = path ? std::fopen(path, "a") : nullptr;
    if (!file) return;
    const Counts& c = counts();
    std::pair<const char*, int64_t> all[] = {{"launches", c.launches}, {"to-host", c.to_host},   {"to-device", c.to_device},
                                             {"flash", c.flash},       {"captures", c.captures}, {"replays", c.replays}};
    std::fputc('{', file);
    for (const auto& [name, count] : all)
        std::fprintf(file, "%s\"%s\": %ld", name == all[0].first ? "" : ", ", name, long(count));
    std::fputs(", \"operations\": {", file);
    const char* between = "";
    for (const auto& [name, count] : c.operations) {
        std::fprintf(file, "%s\"%s\": %ld", between, name.c_str(), long(count));
        between = ", ";
    }
    std::fputs("}}\n", file);
    std::fclose(file);
}

const bool is_there = [] {
    c10::SetAllocator(c10::kCUDA, &memory());
    std::atexit(report);
    return true;
}();

}  // namespace

Counts& counts() {
    static Counts* counts = new Counts;
    return *counts;
}

bool lacks(const char* what) {
    const char* list = std::getenv("SIMULATED_GPU_LACKS");
    return list && std::strstr(list, what);
}

void* view(const void* address) { return memory().view(address); }

}  // namespace simulated

namespace at {
using SimulatedHooks = simulated::Hooks;
C10_REGISTER_TYPED_CLASS(CUDAHooksRegistry, "CUDAHooks", SimulatedHooks);
}  // namespace at

namespace c10 {
using SimulatedGuard = simulated::Guard;
C10_REGISTER_GUARD_IMPL(CUDA, SimulatedGuard);
}  // namespace c10
