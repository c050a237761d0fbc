/// Parquet shards of documents.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string_view>

namespace nanochat {

/// One shard as upstream's repackaging writes it: a column "text" of strings, zstd level 3, no
/// dictionary, no statistics, row groups as they are given (upstream's: 1024 documents). It is
/// under a temporary name until commit() (core/file.h, AtomicFile). Not thread-safe.
class ShardWriter {
 public:
  /// Throws NotFoundError or IoError when the file cannot be made, UsageError when this build has
  /// no parquet support.
  explicit ShardWriter(const std::filesystem::path& path);
  ~ShardWriter();
  ShardWriter(const ShardWriter&) = delete;
  ShardWriter& operator=(const ShardWriter&) = delete;

  /// One or more documents, of valid UTF-8, each under 2 GiB. Throws IoError (disk full); DataError
  /// for a longer document. After that the shard cannot be committed.
  void write_row_group(std::span<const std::string_view> documents);
  /// Once, at the end. Throws IoError.
  void commit();
  /// Of the file so far.
  [[nodiscard]] int64_t size_bytes() const noexcept;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace nanochat
