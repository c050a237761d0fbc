/// The parquet reader lives in a module of its own, nanochat_parquet.so, that is loaded when the
/// first parquet file is opened: Arrow takes longer to load than the rest of the program to start.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

#include "data/document_reader.h"

namespace nanochat {

/// Where the bytes of a parquet file go; what it throws comes out of the writer's function that
/// wrote.
class ByteSink {
 public:
  virtual ~ByteSink() = default;
  virtual void write(std::span<const std::byte> bytes) = 0;
};

/// A shard as upstream's repackaging writes it: one column "text" of strings, zstd level 3, no
/// dictionary, no statistics. After an exception it is spent.
class ParquetWriter {
 public:
  virtual ~ParquetWriter() = default;
  /// One or more documents, of valid UTF-8.
  virtual void write_row_group(std::span<const std::string_view> documents) = 0;
  /// The footer, once; without it the file cannot be read.
  virtual void finish() = 0;
};

/// Module and program are built together and must be of one build; this number is the guard. It
/// grows with every change of DocumentReader, DocumentSourceOptions or what is in this file.
inline constexpr int kParquetModuleInterface = 4;

/// What the module exports.
inline constexpr const char* kParquetInterfaceSymbol = "nanochat_parquet_interface";
inline constexpr const char* kParquetOpenSymbol = "nanochat_parquet_open";
using ParquetInterfaceFunction = int();
/// The caller owns the result. Throws as open_parquet.
using ParquetOpenFunction = DocumentReader*(const char* path, const DocumentSourceOptions& options);
inline constexpr const char* kParquetOpenRowsSymbol = "nanochat_parquet_open_rows";
/// The same for open_parquet_rows.
using ParquetOpenRowsFunction = DocumentReader*(const char* path, int64_t batch_rows);
inline constexpr const char* kParquetCreateSymbol = "nanochat_parquet_create";
/// The caller owns the result, and keeps `sink` for as long. Throws what the sink throws.
using ParquetCreateFunction = ParquetWriter*(ByteSink& sink);

}  // namespace nanochat
