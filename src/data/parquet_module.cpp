#include "data/parquet_module.h"

#include "core/error.h"
#include "core/loaded_module.h"

namespace nanochat {
namespace {

constexpr const char* kModuleName = "nanochat_parquet.so";
#ifdef NANOCHAT_PARQUET_MODULE
constexpr const char* kBuiltAt = NANOCHAT_PARQUET_MODULE;
#else
constexpr const char* kBuiltAt = nullptr;
#endif

ParquetModule load() {
  void* const module = open_module(kModuleName, kBuiltAt, "parquet support");
  if (module == nullptr) {
    throw UsageError(
        "this build has no parquet support: install pyarrow and rebuild (./run setup, then ./run "
        "build)");
  }
  auto* const interface = find_function<ParquetInterfaceFunction>(module, kParquetInterfaceSymbol);
  const ParquetModule functions{
      .open = find_function<ParquetOpenFunction>(module, kParquetOpenSymbol),
      .open_rows = find_function<ParquetOpenRowsFunction>(module, kParquetOpenRowsSymbol),
      .create = find_function<ParquetCreateFunction>(module, kParquetCreateSymbol),
  };
  if (interface == nullptr || interface() != kParquetModuleInterface || functions.open == nullptr ||
      functions.open_rows == nullptr || functions.create == nullptr) {
    throw_module_of_another_build(kModuleName);
  }
  return functions;
}

}  // namespace

const ParquetModule& parquet_module() {
  static const ParquetModule module = load();  // a failed attempt is made again by the next call
  return module;
}

}  // namespace nanochat
