/// The documents of one file; one implementation per kind of file. Behind DocumentSource.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>

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
};

/// Each opens `path`, whose ending told its kind. `options` must outlive the reader.
[[nodiscard]] std::unique_ptr<DocumentReader> open_txt(const std::filesystem::path& path,
                                                       const DocumentSourceOptions& options);
[[nodiscard]] std::unique_ptr<DocumentReader> open_jsonl(const std::filesystem::path& path,
                                                         const DocumentSourceOptions& options);
/// Loads the parquet module first, once per process (parquet/module.h).
[[nodiscard]] std::unique_ptr<DocumentReader> open_parquet(const std::filesystem::path& path,
                                                           const DocumentSourceOptions& options);

}  // namespace nanochat
