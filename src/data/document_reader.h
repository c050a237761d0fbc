/// The documents of one file; one implementation per kind of file. Behind DocumentSource.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <vector>

#include "data/document_source.h"

namespace nanochat {

/// A batch ends after the document that passes this, so that long documents do not pile up.
inline constexpr int64_t kBatchBytes = int64_t{8} << 20;

class DocumentReader {
 public:
  virtual ~DocumentReader() = default;
  /// Replaces documents and memory of the batch, by one document or more; false, and none, at the
  /// end. Throws as DocumentSource::next; after that the reader is spent.
  [[nodiscard]] virtual bool next(DocumentBatch& batch) = 0;

  // Random access, for kinds that have it; the others leave these as they are.

  /// The documents of each of the file's own row groups; empty for a kind that has none.
  [[nodiscard]] virtual std::vector<int64_t> group_sizes() const { return {}; }
  /// Goes on with the first document of that row group, and then those behind it.
  virtual void seek_group(int64_t /*group*/) {}
  /// Leaves out up to `n` documents without making them, and returns how many; 0 at the end of the
  /// file, or when this kind cannot.
  [[nodiscard]] virtual int64_t skip(int64_t /*n*/) { return 0; }
};

/// Opens a file by its ending. Throws UsageError for an unknown one. `options` must outlive it.
[[nodiscard]] std::unique_ptr<DocumentReader> open_documents(const std::filesystem::path& path,
                                                             const DocumentSourceOptions& options);

/// Each opens `path`, whose ending told its kind. `options` must outlive the reader.
[[nodiscard]] std::unique_ptr<DocumentReader> open_txt(const std::filesystem::path& path,
                                                       const DocumentSourceOptions& options);
[[nodiscard]] std::unique_ptr<DocumentReader> open_jsonl(const std::filesystem::path& path,
                                                         const DocumentSourceOptions& options);
/// Loads the parquet module first, once per process (parquet/module.h).
[[nodiscard]] std::unique_ptr<DocumentReader> open_parquet(const std::filesystem::path& path,
                                                           const DocumentSourceOptions& options);

/// A parquet file as a table: the documents are its rows, each a JSON object of all columns in
/// their order, nested lists and structs too; null and what is no finite number become null. Throws
/// as open_parquet, and DataError for a column of a type that has no such form (dates).
[[nodiscard]] std::unique_ptr<DocumentReader> open_parquet_rows(const std::filesystem::path& path,
                                                                int64_t batch_rows = 1024);

}  // namespace nanochat
