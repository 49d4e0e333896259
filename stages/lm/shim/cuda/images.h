// Compiled kernels, kept in the user's cache folder, because compiling takes each process a second or two.
#pragma once

#include <functional>
#include <string>

namespace cuda {

// Returns the kept result of `compile` for `key`, or calls `compile` and keeps the result, which must depend only on
// the key. Without a folder that can be read and written, nothing is kept.
std::string kept(const std::string& key, const std::function<std::string()>& compile);

}  // namespace cuda
