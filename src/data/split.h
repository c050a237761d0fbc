/// Which documents are trained on and which are held out: the one place that decides.
#pragma once

#include <cstdint>
#include <filesystem>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "data/document_source.h"

namespace nanochat {

/// A file, or a part of one. Two parts of one file share no text.
struct DataPart {
  static constexpr int64_t kToTheEnd = std::numeric_limits<int64_t>::max();

  std::filesystem::path file;
  int64_t begin_document = 0, end_document = kToTheEnd;
  /// Of a file that is a single document: from byte to byte of its text (.tok: token to token).
  int64_t begin_offset = 0, end_offset = kToTheEnd;

  [[nodiscard]] bool is_whole() const noexcept {
    return begin_document == 0 && end_document == kToTheEnd && begin_offset == 0 &&
           end_offset == kToTheEnd;
  }
};

struct DataSplit {
  std::vector<DataPart> train, val;
};

/// The rule, the same for every command and every process:
/// 1. `val_paths`, if any are given, are held out, and all of `paths` is trained on.
/// 2. Else the last of the files of `paths` is held out, as upstream does. (A folder's files are
///    sorted by name; several paths keep their order.)
/// 3. A single file is cut: the last tenth of its documents, rounded down but at least one, is held
///    out. This counts the documents, so a file of JSON lines or compressed text is scanned once.
/// 4. A single file of a single document (a book as .txt) is cut nine tenths into its text: behind
///    the next line break or, when none is near, before the next space or, failing that, at a
///    character's beginning.
///
/// Paths are as find_document_files takes them, or .tok files. Throws NotFoundError for a path that
/// names nothing, UsageError when a file would be both trained on and held out or kinds are mixed,
/// and DataError when there is too little text for two parts.
[[nodiscard]] DataSplit split_data(std::span<const std::string> paths,
                                   std::span<const std::string> val_paths = {},
                                   const DocumentSourceOptions& options = {});

/// Where rule 4 cuts a text: 0 < cut < size, at a character's beginning if the text is UTF-8; 0
/// when it is too short.
[[nodiscard]] int64_t held_out_cut(std::string_view text);

}  // namespace nanochat
