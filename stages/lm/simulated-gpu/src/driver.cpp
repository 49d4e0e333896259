// libcaffe2_nvrtc.so: the functions of CUDA's run-time compiler and driver that compile and launch kernels. Nothing is
// compiled: the kernels are part of this library, and any other source is refused. Results are CUDA's error codes.
#include "gpu.h"
#include "launch.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <string>

namespace {

using simulated::Kernel;
using simulated::Size;

enum NvrtcResult { NVRTC_SUCCESS, NVRTC_INVALID_INPUT = 3, NVRTC_INVALID_OPTION = 5, NVRTC_COMPILATION = 6, NVRTC_BUILTIN = 7 };

enum CudaResult {
    CUDA_SUCCESS = 0,
    CUDA_INVALID_VALUE = 1,
    CUDA_INVALID_DEVICE = 101,
    CUDA_INVALID_IMAGE = 200,
    CUDA_INVALID_CONTEXT = 201,
    CUDA_NOT_FOUND = 500,
    CUDA_ILLEGAL_ADDRESS = 700,
    CUDA_CAPTURE_UNSUPPORTED = 900,
    CUDA_CAPTURE_IMPLICIT = 906,
};

const std::map<int, const char*> CUDA_ERRORS = {
    {CUDA_SUCCESS, "no error"},
    {CUDA_INVALID_VALUE, "invalid argument"},
    {CUDA_INVALID_DEVICE, "invalid device ordinal"},
    {CUDA_INVALID_IMAGE, "device kernel image is invalid"},
    {CUDA_INVALID_CONTEXT, "invalid device context"},
    {CUDA_NOT_FOUND, "named symbol not found"},
    {CUDA_ILLEGAL_ADDRESS, "an illegal memory access was encountered"},
    {CUDA_CAPTURE_UNSUPPORTED, "operation not permitted when stream is capturing"},
    {CUDA_CAPTURE_IMPLICIT, "operation would make the legacy stream depend on a capturing blocking stream"},
};

// The attributes of the card: its number of multiprocessors, and its compute capability.
const std::map<int, int> ATTRIBUTES = {{16, 132}, {75, 9}, {76, 0}};

// Placeholder for machine code.
const char IMAGE[] = "simulated sm_90";

// libtorch's context. On a card, libtorch makes it current on every thread that allocates memory. Here, every thread
// must set it before a launch, as threads that never allocate must do on a card.
int context;
thread_local void* current_context = nullptr;

struct Program {
    std::string source;
    std::string log;
    bool is_compiled = false;
};

// Returns the first line, counted from 1, in which two texts differ.
size_t differing_line(std::string_view a, std::string_view b) {
    auto differs = std::mismatch(a.begin(), a.begin() + std::min(a.size(), b.size()), b.begin()).first;
    return 1 + std::count(a.begin(), differs, '\n');
}

NvrtcResult compile(Program& program, int num_options, const char* const* options) {
    program.is_compiled = false;
    if (simulated::lacks("nvrtc")) {
        program.log = "failed to open libnvrtc-builtins.so: simulated";
        return NVRTC_BUILTIN;
    }
    bool has_target = false;
    for (int i = 0; i < num_options; ++i) has_target |= options[i] == std::string_view("--gpu-architecture=sm_90");
    if (!has_target) {
        program.log = "the simulated GPU runs what is compiled with --gpu-architecture=sm_90";
        return NVRTC_INVALID_OPTION;
    }
    if (program.source != simulated::kernels_source()) {
        program.log = "the simulated GPU was built from other kernels, they differ from line " +
                      std::to_string(differing_line(program.source, simulated::kernels_source())) + " on: build it anew";
        return NVRTC_COMPILATION;
    }
    program.log.clear();
    program.is_compiled = true;
    return NVRTC_SUCCESS;
}

bool is_valid(Size grid, Size block) {
    auto within = [](Size size, unsigned x, unsigned y, unsigned z) {
        return size.x >= 1 && size.y >= 1 && size.z >= 1 && size.x <= x && size.y <= y && size.z <= z;
    };
    return within(grid, 0x7fffffff, 0xffff, 0xffff) && within(block, 1024, 1024, 64) && block.x * block.y * block.z <= 1024;
}

void launch(const Kernel& kernel, Size grid, Size block, void** params) {
    auto run = [&kernel, grid, block, thread = kernel.bind(params)] { run_grid(kernel.name, grid, block, thread); };
    ++simulated::counts().launches;
    ++simulated::counts().operations[std::string("cuda::") + kernel.name];
    if (simulated::is_capturing()) {
        simulated::record(run);
    } else {
        run();
    }
}

}  // namespace

#pragma GCC visibility push(default)
extern "C" {

// A version that does not exist, so that kernels kept by version are never mixed up with a real card's.
int nvrtcVersion(int* major, int* minor) {
    *major = *minor = 0;
    return NVRTC_SUCCESS;
}

int nvrtcCreateProgram(Program** program, const char* source, const char*, int, const char* const*, const char* const*) {
    *program = new Program{source};
    return NVRTC_SUCCESS;
}

int nvrtcCompileProgram(Program* program, int num_options, const char* const* options) {
    return compile(*program, num_options, options);
}

int nvrtcGetProgramLogSize(Program* program, size_t* size) {
    *size = program->log.size() + 1;
    return NVRTC_SUCCESS;
}

int nvrtcGetProgramLog(Program* program, char* log) {
    std::memcpy(log, program->log.c_str(), program->log.size() + 1);
    return NVRTC_SUCCESS;
}

int nvrtcGetCUBINSize(Program* program, size_t* size) {
    *size = program->is_compiled ? sizeof(IMAGE) : 0;
    return program->is_compiled ? NVRTC_SUCCESS : NVRTC_INVALID_INPUT;
}

int nvrtcGetCUBIN(Program* program, char* image) {
    if (!program->is_compiled) return NVRTC_INVALID_INPUT;
    std::memcpy(image, IMAGE, sizeof(IMAGE));
    return NVRTC_SUCCESS;
}

int nvrtcDestroyProgram(Program** program) {
    delete *program;
    *program = nullptr;
    return NVRTC_SUCCESS;
}

int cuModuleLoadData(const void** module, const void* image) {
    if (simulated::is_capturing()) return CUDA_CAPTURE_UNSUPPORTED;
    if (std::strcmp(static_cast<const char*>(image), IMAGE) != 0) return CUDA_INVALID_IMAGE;
    *module = IMAGE;
    return CUDA_SUCCESS;
}

int cuModuleGetFunction(const Kernel** function, const void* module, const char* name) {
    if (module != IMAGE) return CUDA_INVALID_VALUE;
    *function = simulated::find_kernel(name);
    return *function ? CUDA_SUCCESS : CUDA_NOT_FOUND;
}

// Parameters in one buffer (`extra`) are not supported.
int cuLaunchKernel(const Kernel* kernel, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x,
                   unsigned block_y, unsigned block_z, unsigned shared_bytes, void* stream, void** params, void** extra) {
    Size grid = {grid_x, grid_y, grid_z}, block = {block_x, block_y, block_z};
    if (!kernel || extra || shared_bytes != 0 || !is_valid(grid, block)) return CUDA_INVALID_VALUE;
    if (!current_context) return CUDA_INVALID_CONTEXT;
    if (simulated::is_capturing() && !stream) return CUDA_CAPTURE_IMPLICIT;
    try {
        launch(*kernel, grid, block, params);
    } catch (const c10::Error&) {
        return CUDA_ILLEGAL_ADDRESS;
    }
    return CUDA_SUCCESS;
}

int cuGetErrorString(int result, const char** text) {
    auto known = CUDA_ERRORS.find(result);
    *text = known == CUDA_ERRORS.end() ? nullptr : known->second;
    return *text ? CUDA_SUCCESS : CUDA_INVALID_VALUE;
}

int cuDeviceGet(int* device, int index) {
    *device = 0;
    return index == 0 ? CUDA_SUCCESS : CUDA_INVALID_DEVICE;
}

int cuCtxGetCurrent(void** current) {
    *current = &context;
    return CUDA_SUCCESS;
}

int cuCtxSetCurrent(void* next) {
    if (next && next != &context) return CUDA_INVALID_CONTEXT;
    current_context = next;
    return CUDA_SUCCESS;
}

int cuDeviceGetAttribute(int* value, int attribute, int device) {
    auto known = ATTRIBUTES.find(attribute);
    if (known == ATTRIBUTES.end()) return CUDA_INVALID_VALUE;
    *value = known->second;
    return device == 0 ? CUDA_SUCCESS : CUDA_INVALID_DEVICE;
}

}  // extern "C"
#pragma GCC visibility pop
