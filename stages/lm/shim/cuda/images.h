// Compiled kernels, kept in the user's cache folder: compiling takes a second or two, which every stage would pay.
#pragma once

#include <functional>
#include <string>

namespace cuda {

// Returns what `compile` made of `key` the last time, or makes it and keeps it. The key is all that it depends on. A
// folder that cannot be read or written is as good as none.
std::string kept(const std::string& key, const std::function<std::string()>& compile);

}  // namespace cuda
