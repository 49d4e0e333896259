// Compiles and launches the kernels: NVRTC, the cache of machine code, CUDA's driver.
#include "driver.h"

#include "images.h"

#include <c10/core/DeviceGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <dlfcn.h>
#include <map>
#include <mutex>
#include <string>
#include <tuple>
#include <vector>

namespace cuda {
namespace {

const char* const SOURCE =
#include "kernels.inc"
    ;

// CUdevice_attribute.
const int MULTIPROCESSORS = 16, MAJOR = 75, MINOR = 76;

// libcaffe2_nvrtc.so: libtorch's access to NVRTC and the driver.
class Library {
   public:
    Library() {
        Dl_info found;
        void* symbol = dlsym(RTLD_DEFAULT, "_ZN2at4cuda9CUDAGraph6replayEv");
        TORCH_CHECK(symbol && dladdr(symbol, &found), "libtorch_cuda.so is not loaded");
        std::string path = found.dli_fname;
        path = path.substr(0, path.rfind('/') + 1) + "libcaffe2_nvrtc.so";
        handle_ = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
        TORCH_CHECK(handle_, dlerror());
    }

    template <typename... Parameters>
    int call(const char* name, Parameters... parameters) const {
        auto function = reinterpret_cast<int (*)(Parameters...)>(dlsym(handle_, name));
        TORCH_CHECK(function, "libcaffe2_nvrtc.so has no `", name, "`");
        return function(parameters...);
    }

    template <typename Function>
    Function* find(const char* name) const {
        void* symbol = dlsym(handle_, name);
        TORCH_CHECK(symbol, "libcaffe2_nvrtc.so has no `", name, "`");
        return reinterpret_cast<Function*>(symbol);
    }

    // Calls a function of the driver.
    template <typename... Parameters>
    void driver(const char* name, Parameters... parameters) const {
        check(call(name, parameters...), name);
    }

    void check(int code, const char* what) const {
        if (code == 0) return;
        const char* text = nullptr;
        call("cuGetErrorString", code, &text);
        TORCH_CHECK(false, what, ": CUDA error ", code, ", ", text ? text : "unknown");
    }

   private:
    void* handle_;
};

const Library& library() {
    static const Library library;
    return library;
}

int attribute(int which, c10::Device of) {
    int device = 0, value = 0;
    library().driver("cuDeviceGet", &device, static_cast<int>(of.index()));
    library().driver("cuDeviceGetAttribute", &value, which, device);
    return value;
}

std::string compile(const std::vector<const char*>& options) {
    const Library& nvrtc = library();
    void* program = nullptr;
    auto check = [&](int code, const char* what) {
        if (code == 0) return;
        std::string log;
        size_t size = 0;
        if (program && nvrtc.call("nvrtcGetProgramLogSize", program, &size) == 0 && size > 0) {
            log.resize(size);
            nvrtc.call("nvrtcGetProgramLog", program, log.data());
        }
        TORCH_CHECK(false, what, ": NVRTC error ", code, "\n", log.c_str());
    };
    const char* const* none = nullptr;
    const char* const* first = options.data();
    check(nvrtc.call("nvrtcCreateProgram", &program, SOURCE, "kernels.cu", 0, none, none), "nvrtcCreateProgram");
    check(nvrtc.call("nvrtcCompileProgram", program, static_cast<int>(options.size()), first), "nvrtcCompileProgram");
    size_t size = 0;
    check(nvrtc.call("nvrtcGetCUBINSize", program, &size), "nvrtcGetCUBINSize");
    std::string image(size, '\0');
    check(nvrtc.call("nvrtcGetCUBIN", program, image.data()), "nvrtcGetCUBIN");
    nvrtc.call("nvrtcDestroyProgram", &program);
    return image;
}

// Returns the machine code of the decode kernel for `heads` query heads, or with 0 of all other kernels.
std::string image_of(c10::Device device, int heads) {
    std::string architecture =
        "--gpu-architecture=sm_" + std::to_string(10 * attribute(MAJOR, device) + attribute(MINOR, device));
    std::string define = "--define-macro=HEADS=" + std::to_string(heads);
    std::vector<const char*> options = {architecture.c_str(), "--std=c++17"};
    if (heads > 0) options.push_back(define.c_str());
    int major = 0, minor = 0;
    library().call("nvrtcVersion", &major, &minor);
    std::string key = "NVRTC " + std::to_string(major) + "." + std::to_string(minor);
    for (const char* option : options) key += std::string(" ") + option;
    return kept(key + "\n" + SOURCE, [&] { return compile(options); });
}

// The kernels of one device, and the context they were loaded into.
class Kernels {
   public:
    explicit Kernels(c10::Device device) : device_(device) {
        library().driver("cuCtxGetCurrent", &context_);
        TORCH_CHECK(context_, "no CUDA context is current");
        module_of(0);
    }

    // Autograd's threads may not have the context yet.
    void enter() const {
        static auto* set = library().find<int(void*)>("cuCtxSetCurrent");
        library().check(set(context_), "cuCtxSetCurrent");
    }

    void* function(Kernel kernel, bool is_bf16) {
        std::lock_guard<std::mutex> lock(mutex_);
        auto key = std::make_tuple(kernel.name, kernel.heads, is_bf16);
        auto known = functions_.find(key);
        if (known != functions_.end()) return known->second;
        std::string name = kernel.name;
        if (kernel.heads > 0) name += "_" + std::to_string(kernel.heads);
        name += is_bf16 ? "_bf16" : "_float";
        void* found = nullptr;
        library().driver("cuModuleGetFunction", &found, module_of(kernel.heads), name.c_str());
        functions_.emplace(key, found);
        return found;
    }

   private:
    void* module_of(int heads) {
        void*& module = modules_[heads];
        if (!module) {
            std::string image = image_of(device_, heads);
            library().driver("cuModuleLoadData", &module, static_cast<const void*>(image.data()));
        }
        return module;
    }

    c10::Device device_;
    void* context_ = nullptr;
    std::map<int, void*> modules_;
    // Names are string literals of the source, so equal names have equal addresses.
    std::map<std::tuple<const char*, int, bool>, void*> functions_;
    std::mutex mutex_;
};

// Never destroyed, because CUDA may be shut down before.
Kernels& kernels_of(c10::Device device) {
    static std::mutex mutex;
    static auto* all = new std::map<c10::DeviceIndex, std::unique_ptr<Kernels>>;
    std::lock_guard<std::mutex> lock(mutex);
    auto& kernels = (*all)[device.index()];
    if (!kernels) kernels = std::make_unique<Kernels>(device);
    return *kernels;
}

}  // namespace

void prepare(c10::Device device) {
    c10::DeviceGuard guard(device);
    // The first allocation creates a context.
    at::empty({1}, at::TensorOptions().device(device));
    kernels_of(device);
}

int64_t multiprocessors(c10::Device device) {
    try {
        return attribute(MULTIPROCESSORS, device);
    } catch (const c10::Error&) {
        return 0;
    }
}

void launch(c10::Device device, Kernel kernel, bool is_bf16, Grid grid, unsigned threads, void** arguments) {
    typedef int Launch(void*, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, void*, void**,
                       void**);
    static Launch* run = library().find<Launch>("cuLaunchKernel");
    c10::DeviceGuard guard(device);
    Kernels& kernels = kernels_of(device);
    kernels.enter();
    void* stream = c10::impl::VirtualGuardImpl(device.type()).getStream(device).native_handle();
    int code =
        run(kernels.function(kernel, is_bf16), grid.x, grid.y, grid.z, threads, 1, 1, 0, stream, arguments, nullptr);
    library().check(code, kernel.name);
}

}  // namespace cuda
