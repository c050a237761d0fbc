/// The documents of one file by row groups, any group first.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string_view>
#include <vector>

#include "data/document_reader.h"

namespace nanochat {

/// Of kinds of files that have no row groups of their own (.jsonl, .txt), so many documents that
/// follow each other are one.
inline constexpr int64_t kGroupDocuments = 1024;

/// Row groups are the file's own in parquet, which goes straight to any of them; in other files
/// what lies before is scanned (.jsonl: without parsing it, so errors in it are not seen).
/// Throws as DocumentSource::next. Not thread-safe.
class GroupedDocuments {
 public:
  /// What a scan throws after `stop`, if there is one, has become true; not an Error.
  struct Stopped {};

  GroupedDocuments(std::filesystem::path path, DocumentSourceOptions options,
                   const std::atomic<bool>* stop = nullptr);
  GroupedDocuments(const GroupedDocuments&) = delete;
  GroupedDocuments& operator=(const GroupedDocuments&) = delete;

  /// Of the whole file; may scan all of it, and does not move.
  [[nodiscard]] int64_t count();
  /// The first document of a group, counted from the beginning of the file; behind the last group,
  /// any number that is not less than count().
  [[nodiscard]] int64_t first_document(int64_t group) const;
  /// The group that a document is in.
  [[nodiscard]] int64_t group_of(int64_t document) const;

  /// Goes to the beginning of a group; false when the file has fewer.
  [[nodiscard]] bool open_group(int64_t group);
  /// Leaves out up to `n` documents of the group and returns how many.
  int64_t skip(int64_t n);
  /// The next document of the group, valid until the next call; false at the group's end.
  [[nodiscard]] bool next(std::string_view& document);

 private:
  /// Makes sure that there is a document to take; false at the end of the file.
  bool load();
  int64_t skip_in_file(int64_t n);
  void check_stop() const;
  void reopen();

  std::filesystem::path path_;
  DocumentSourceOptions options_;
  const std::atomic<bool>* stop_;
  std::unique_ptr<DocumentReader> reader_;
  std::vector<int64_t> group_begins_;  // of parquet, with the end; else empty
  DocumentBatch batch_;
  size_t taken_ = 0;      // of the batch
  int64_t position_ = 0;  // of the next document in the file
  int64_t group_end_ = 0;
};

}  // namespace nanochat
