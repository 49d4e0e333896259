// The kernels of lm's shim, compiled for the host from the source that a GPU gets (KERNELS_FILE).
#include "launch.h"

#include <tuple>
#include <type_traits>

#include "cuda_on_host.h"
#define KERNELS_ON_HOST
#include KERNELS_FILE

// The source itself, byte for byte.
__asm__(
    ".pushsection .rodata\n"
    "kernels_begin: .incbin \"" KERNELS_FILE
    "\"\n"
    "kernels_end: .byte 0\n"
    ".popsection\n");
extern "C" __attribute__((visibility("hidden"))) const char kernels_begin[], kernels_end[];

namespace simulated {
namespace {

template <typename T>
T argument(const void* param) {
    static_assert(std::is_arithmetic_v<T> || std::is_pointer_v<T>, "an address within a struct would stay the device's");
    static_assert(!std::is_pointer_v<std::remove_pointer_t<T>>, "addresses in the device's memory would stay the device's");
    T value;
    std::memcpy(&value, param, sizeof(T));
    if constexpr (std::is_pointer_v<T>) value = static_cast<T>(view(value));
    return value;
}

template <typename... T>
std::function<void()> bind(void (*kernel)(T...), void** params) {
    std::tuple<T...> arguments{argument<T>(*params++)...};
    return [=] { std::apply(kernel, arguments); };
}

#define ENTRY(name) {#name, [](void** params) { return bind(name, params); }},
const Kernel KERNELS[] = {FOR_ALL_KERNELS(ENTRY)};

}  // namespace

const Kernel* find_kernel(std::string_view name) {
    for (const Kernel& kernel : KERNELS)
        if (kernel.name == name) return &kernel;
    return nullptr;
}

std::string_view kernels_source() { return {kernels_begin, size_t(kernels_end - kernels_begin)}; }

}  // namespace simulated
