// The files of the cache: named by a hash of the key, which each holds whole beside the machine code.
#include "images.h"

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <unistd.h>

namespace cuda {
namespace {

namespace fs = std::filesystem;

// `r1flow/kernels` in the cache folder that the environment names (XDG Base Directory Specification), or nothing.
fs::path folder() {
    auto variable = [](const char* name) {
        const char* value = std::getenv(name);
        return fs::path(value ? value : "");
    };
    fs::path base = variable("XDG_CACHE_HOME"), home = variable("HOME");
    if (base.empty() && !home.empty()) base = home / ".cache";
    return base.empty() ? base : base / "r1flow" / "kernels";
}

// FNV-1a: a name for a file. Whether it is the right one is told by the key in it.
std::string name_of(const std::string& key) {
    uint64_t hash = 0xcbf29ce484222325u;
    for (unsigned char byte : key) hash = (hash ^ byte) * 0x100000001b3u;
    char name[32];
    std::snprintf(name, sizeof name, "%016llx.cubin", static_cast<unsigned long long>(hash));
    return name;
}

// What a file begins with: the key, and the sizes of both parts.
std::string head(const std::string& key, size_t image) {
    return std::to_string(key.size()) + " " + std::to_string(image) + "\n" + key;
}

std::string read(const fs::path& path, const std::string& key) {
    std::ifstream file(path, std::ios::binary);
    size_t of_key = 0, of_image = 0;
    if (!(file >> of_key >> of_image) || of_key != key.size()) return "";
    std::string start = head(key, of_image), text(start.size() + of_image, '\0');
    file.seekg(0);
    file.read(text.data(), static_cast<std::streamsize>(text.size()));
    bool is_whole =
        file.gcount() == static_cast<std::streamsize>(text.size()) && text.compare(0, start.size(), start) == 0;
    return is_whole ? text.substr(start.size()) : "";
}

// Under another name first: nobody reads a part of it.
void write(const fs::path& path, const std::string& key, const std::string& image) {
    std::error_code error;
    fs::create_directories(path.parent_path(), error);
    fs::path draft = path;
    draft += "." + std::to_string(getpid());
    std::ofstream file(draft, std::ios::binary);
    file << head(key, image.size()) << image;
    file.close();
    if (file) fs::rename(draft, path, error);
    if (!file || error) fs::remove(draft, error);
}

}  // namespace

std::string kept(const std::string& key, const std::function<std::string()>& compile) {
    fs::path at = folder();
    if (at.empty()) return compile();
    at /= name_of(key);
    std::string image = read(at, key);
    if (image.empty()) {
        image = compile();
        write(at, key, image);
    }
    return image;
}

}  // namespace cuda
