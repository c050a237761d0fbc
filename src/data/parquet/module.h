/// The parquet reader lives in a module of its own, nanochat_parquet.so, that is loaded when the
/// first parquet file is opened: Arrow takes longer to load than the rest of the program to start.
#pragma once

#include "data/document_reader.h"

namespace nanochat {

/// Module and program are built together and must be of one build; this number is the guard. It
/// grows with every change of DocumentReader, DocumentSourceOptions or the functions below.
inline constexpr int kParquetModuleInterface = 1;

/// What the module exports.
inline constexpr const char* kParquetInterfaceSymbol = "nanochat_parquet_interface";
inline constexpr const char* kParquetOpenSymbol = "nanochat_parquet_open";
using ParquetInterfaceFunction = int();
/// The caller owns the result. Throws as open_parquet.
using ParquetOpenFunction = DocumentReader*(const char* path, const DocumentSourceOptions& options);

}  // namespace nanochat
