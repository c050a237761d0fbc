#include <cerrno>
#include <mutex>
#include <string>
#include <vector>

#include <dlfcn.h>
#include <sys/stat.h>

#include "core/error.h"
#include "core/file.h"
#include "data/document_reader.h"
#include "data/parquet/module.h"

namespace nanochat {
namespace {

namespace fs = std::filesystem;

constexpr const char* kModuleName = "nanochat_parquet.so";

/// Where the module may be: beside the program, where an installation puts it, where it was built.
std::vector<fs::path> module_places() {
  std::vector<fs::path> places;
  std::error_code error;
  const fs::path program = fs::read_symlink("/proc/self/exe", error);
  if (!error) {
    const fs::path folder = program.parent_path();
    places.push_back(folder / kModuleName);
    places.push_back(folder.parent_path() / "lib" / "nanochat" / kModuleName);
  }
#ifdef NANOCHAT_PARQUET_MODULE
  places.emplace_back(NANOCHAT_PARQUET_MODULE);
#endif
  return places;
}

/// dlsym gives a pointer to data; POSIX promises that this conversion works.
template <typename Function>
Function* find_symbol(void* module, const char* name) {
  return reinterpret_cast<Function*>(::dlsym(module, name));
}

ParquetOpenFunction* load_module() {
  for (const fs::path& place : module_places()) {
    if (std::error_code error; !fs::exists(place, error)) continue;
    // Never closed: Arrow keeps threads and thread-local data that outlive its readers.
    void* const module = ::dlopen(place.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (module == nullptr) {
      throw UsageError(
          "parquet support cannot be loaded ({}): install pyarrow and rebuild (./run "
          "setup, then ./run build)",
          ::dlerror());
    }
    auto* const interface = find_symbol<ParquetInterfaceFunction>(module, kParquetInterfaceSymbol);
    auto* const open = find_symbol<ParquetOpenFunction>(module, kParquetOpenSymbol);
    if (interface == nullptr || open == nullptr || interface() != kParquetModuleInterface) {
      throw UsageError("{} is of another build: rebuild (./run build)", place.string());
    }
    return open;
  }
  throw UsageError(
      "this build has no parquet support: install pyarrow and rebuild (./run setup, then ./run "
      "build)");
}

}  // namespace

std::unique_ptr<DocumentReader> open_parquet(const fs::path& path,
                                             const DocumentSourceOptions& options) {
  // Before Arrow, whose errors do not tell a missing file from an unreadable one.
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) throw_errno("read", path, errno);
  if (!S_ISREG(status.st_mode)) {
    throw_errno("read", path, S_ISDIR(status.st_mode) ? EISDIR : ESPIPE);
  }
  if (status.st_size == 0) throw DataError("{}: an empty file is no parquet", path.string());

  static std::mutex mutex;
  static ParquetOpenFunction* open = nullptr;
  {
    const std::lock_guard lock(mutex);
    if (open == nullptr) open = load_module();
  }
  return std::unique_ptr<DocumentReader>(open(path.c_str(), options));
}

}  // namespace nanochat
