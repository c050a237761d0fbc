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

/// A batch of documents, which owns what they look into: a copy, too, keeps them valid, so that one
/// thread can read ahead while others work on the batch before.
struct DocumentBatch {
  std::vector<std::string_view> documents;
  int64_t file = 0;  ///< index into files()
  std::shared_ptr<const void> memory;
};

struct DocumentSourceOptions {
  std::string text_field = "text";  ///< the column or key that holds the document
  bool skip_bad_shards = false;     ///< go on after a file that cannot be read, and count it
  /// .txt: the documents of a file are separated by this (what is empty between two separators is
  /// no document); empty: the whole file is one.
  std::string txt_separator{};
  int64_t batch_documents = 1024;  ///< at most, per batch; fewer when they are long
};

/// The files that `paths` name: a file, a folder (its files of known endings, not those of its
/// folders) or a glob ("shard_*.parquet"; of what it matches, files of known endings and folders).
/// Those of one path are sorted by name; the paths keep their order, and may name a file twice.
/// Throws NotFoundError when a path names nothing, UsageError for a file of unknown ending.
[[nodiscard]] std::vector<std::filesystem::path> find_document_files(
    std::span<const std::string> paths);

/// The same for what is trained on: documents, or all of them tokenised (.tok, tok_shard.h). Throws
/// UsageError when some are and others are not.
[[nodiscard]] std::vector<std::filesystem::path> find_training_files(
    std::span<const std::string> paths);
[[nodiscard]] bool is_tok_file(const std::filesystem::path& path);

/// Streams documents from .parquet, .jsonl and .txt files (the last two also .gz or .zst), in the
/// order of the files, without holding a whole corpus in memory: the batch is what is held, and of
/// a parquet file its pages, so only a single document must fit. An uncompressed .txt is mapped,
/// not read, and may be larger than memory even as one document.
///
/// Bytes are as the file has them: text that is not valid UTF-8 passes in .txt and parquet (JSON
/// cannot hold it). In JSON, half a surrogate pair ("\ud83d" alone) becomes U+FFFD, upstream's
/// rule. Not thread-safe.
class DocumentSource {
 public:
  /// Throws as find_document_files.
  explicit DocumentSource(std::span<const std::string> paths,
                          const DocumentSourceOptions& options = {});
  /// The files as given, for those who chose among them. Throws UsageError for an unknown ending.
  explicit DocumentSource(std::vector<std::filesystem::path> files,
                          const DocumentSourceOptions& options = {});
  ~DocumentSource();
  DocumentSource(DocumentSource&&) noexcept;
  DocumentSource& operator=(DocumentSource&&) noexcept;

  [[nodiscard]] std::span<const std::filesystem::path> files() const noexcept;
  /// Fills `batch`; false at the end. Throws DataError naming file and place (line; row group and
  /// column) when a file is corrupt or a document is missing in it, NotFoundError and IoError when
  /// it cannot be read; with skip_bad_shards, goes on with the next file instead (what came before
  /// the bad place has been given out already). Throws UsageError for a parquet file when this
  /// build has no parquet support.
  [[nodiscard]] bool next(DocumentBatch& batch);
  /// Files given up so far, with the reason.
  [[nodiscard]] std::span<const std::string> skipped() const noexcept;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace nanochat
