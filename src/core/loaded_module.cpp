#include "core/loaded_module.h"

#include <filesystem>
#include <vector>

#include <dlfcn.h>

#include "core/error.h"

namespace nanochat {
namespace {

namespace fs = std::filesystem;

std::vector<fs::path> module_places(const char* file_name, const char* built_at) {
  std::vector<fs::path> places;
  std::error_code error;
  const fs::path program = fs::read_symlink("/proc/self/exe", error);
  if (!error) {
    const fs::path folder = program.parent_path();
    places.push_back(folder / file_name);
    places.push_back(folder.parent_path() / "lib" / "nanochat" / file_name);
  }
  if (built_at != nullptr) places.emplace_back(built_at);
  return places;
}

}  // namespace

void* open_module(const char* file_name, const char* built_at, const char* what) {
  for (const fs::path& place : module_places(file_name, built_at)) {
    if (std::error_code error; !fs::exists(place, error)) continue;
    // Never closed: their libraries keep threads and thread-local data.
    void* const module = ::dlopen(place.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (module != nullptr) return module;
    throw UsageError(
        "{} cannot be loaded ({}): install what is missing and rebuild (./run setup, then ./run "
        "build)",
        what, ::dlerror());
  }
  return nullptr;
}

void* find_module_symbol(void* module, const char* name) { return ::dlsym(module, name); }

void throw_module_of_another_build(const char* file_name) {
  throw UsageError("{} is of another build: rebuild (./run build)", file_name);
}

}  // namespace nanochat
