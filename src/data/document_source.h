/// Documents out of files, one after another.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace nanochat {

/// A batch of documents; the views stay valid until the next call of next().
struct DocumentBatch {
  std::vector<std::string_view> documents;
  int64_t file = 0;  ///< index into files()
};

struct DocumentSourceOptions {
  std::string text_field = "text";  ///< the column or key that holds the document
  bool skip_bad_shards = false;     ///< go on after a file that cannot be read, and count it
  /// .txt: one document a file, or documents separated by this; empty: the whole file is one.
  std::string txt_separator;
  int64_t batch_documents = 1024;  ///< at most, per batch
};

/// Streams documents from .parquet, .jsonl and .txt files (the last two also .gz or .zst), in the
/// order of the files, without holding a whole corpus in memory. A path may be a file, a folder
/// (its files of known endings, sorted by name) or a glob.
class DocumentSource {
 public:
  /// Throws NotFoundError when a path names nothing, UsageError for an ending that is not known.
  DocumentSource(std::span<const std::string> paths, const DocumentSourceOptions& options = {});
  ~DocumentSource();

  [[nodiscard]] std::span<const std::filesystem::path> files() const noexcept;
  /// Fills `batch`; false at the end. Throws DataError naming file and place (line, row group) when
  /// it is corrupt, unless skip_bad_shards.
  [[nodiscard]] bool next(DocumentBatch& batch);
  /// Files given up so far, with the reason.
  [[nodiscard]] std::span<const std::string> skipped() const noexcept;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace nanochat
