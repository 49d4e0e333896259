// The files of the cache. Each contains its checksum, the whole key and the machine code. A file is used if its
// checksum and its key are right and only the user can write to its folder. Otherwise the kernels are compiled again.
#include "images.h"

#include "../shim.h"

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <sys/stat.h>
#include <unistd.h>

namespace cuda {
namespace {

namespace fs = std::filesystem;

// Returns `r1flow/kernels` in the cache folder of the environment (XDG Base Directory Specification), or an empty path.
fs::path folder() {
    auto variable = [](const char* name) {
        const char* value = std::getenv(name);
        return fs::path(value ? value : "");
    };
    // By the specification, relative paths are ignored.
    fs::path base = variable("XDG_CACHE_HOME"), home = variable("HOME");
    if (!base.is_absolute()) base = home.is_absolute() ? home / ".cache" : fs::path();
    return base.empty() ? base : base / "r1flow" / "kernels";
}

// FNV-1a. It detects damage, not forgery; against forgery, only the user can write to the folder.
uint64_t hash_of(const std::string& text) {
    uint64_t hash = 0xcbf29ce484222325u;
    for (unsigned char byte : text) hash = (hash ^ byte) * 0x100000001b3u;
    return hash;
}

std::string hex(uint64_t number) {
    char text[17];
    std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(number));
    return text;
}

// The part of a file that is hashed: the size of the key, the key, the machine code. The hash is before it.
std::string hashed(const std::string& key, const std::string& image) {
    return std::to_string(key.size()) + "\n" + key + image;
}

std::string framed(const std::string& key, const std::string& image) {
    std::string rest = hashed(key, image);
    return hex(hash_of(rest)) + " " + rest;
}

// Returns the machine code of a file, or an empty string if the file is not valid.
std::string image_in(const std::string& text, const std::string& key) {
    const size_t AT = 17;
    if (text.size() <= AT) return "";
    std::string rest = text.substr(AT), start = hashed(key, "");
    bool is_right = text.substr(0, AT) == hex(hash_of(rest)) + " " && rest.compare(0, start.size(), start) == 0;
    return is_right ? rest.substr(start.size()) : "";
}

// Returns whether a folder belongs to the user and only the user can write to it.
bool is_safe(const fs::path& path) {
    struct stat found;
    return stat(path.c_str(), &found) == 0 && S_ISDIR(found.st_mode) && found.st_uid == geteuid() &&
           (found.st_mode & 022) == 0;
}

// Opens a file that belongs to the user, without following links and without blocking.
FILE* open_file(const fs::path& path, int flags, const char* mode) {
    int file = open(path.c_str(), flags | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
    if (file < 0) return nullptr;
    struct stat found;
    if (fstat(file, &found) == 0 && S_ISREG(found.st_mode) && found.st_uid == geteuid()) return fdopen(file, mode);
    close(file);
    return nullptr;
}

std::string read(const fs::path& path, const std::string& key) {
    const size_t LONGEST = size_t(256) << 20;
    FILE* file = open_file(path, O_RDONLY, "rb");
    if (!file) return "";
    std::string text;
    char buffer[1 << 16];
    size_t count = 0;
    while (text.size() < LONGEST && (count = std::fread(buffer, 1, sizeof buffer, file)) > 0) {
        text.append(buffer, count);
    }
    std::fclose(file);
    return image_in(text, key);
}

// Writes to another name first and renames it, so that no reader sees a part of the file. Two processes that write at
// once may mix their drafts; the result then fails the check of its hash.
void write(const fs::path& path, const std::string& text) {
    fs::path draft = path;
    draft += ".draft";
    FILE* file = open_file(draft, O_WRONLY | O_CREAT | O_TRUNC, "wb");
    if (!file) return;
    bool is_whole = std::fwrite(text.data(), 1, text.size(), file) == text.size();
    is_whole &= std::fclose(file) == 0;
    std::error_code error;
    if (is_whole) fs::rename(draft, path, error);
}

// Creates missing folders, for the user only.
void make(const fs::path& path) {
    if (path.has_parent_path() && path != path.parent_path()) make(path.parent_path());
    mkdir(path.c_str(), 0700);
}

// Creates `path` if it is missing, and returns it; returns an empty path if others could write to it.
fs::path safe(const fs::path& path) {
    make(path);
    for (const fs::path& each : {path.parent_path(), path}) {
        if (is_safe(each)) continue;
        TORCH_WARN_ONCE("`", each.string(), "` is not a folder that only you can write to, so no compiled kernels are ",
                        "kept there: `chmod 700` as its owner, or another XDG_CACHE_HOME, spares compiling");
        return "";
    }
    return path;
}

}  // namespace

std::string kept(const std::string& key, const std::function<std::string()>& compile) {
    fs::path at = folder();
    if (!at.empty()) at = safe(at);
    if (at.empty()) return compile();
    at /= hex(hash_of(key)) + ".cubin";
    std::string image = read(at, key);
    if (image.empty()) {
        image = compile();
        write(at, framed(key, image));
    }
    return image;
}

}  // namespace cuda
