/// The documents of one file, or a part of one, as tokens.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "data/split.h"
#include "tokenizer/tokenizer.h"

namespace nanochat {

/// A document comes whole or, when it is long, in pieces, so that memory does not grow with it. Its
/// first piece begins with the token that begins a document.
struct TokenPiece {
  int64_t document = 0;    ///< from 0 in the row group of the file
  int64_t offset = 0;      ///< where the piece begins in the document, in units of the reader's own
  int64_t end_offset = 0;  ///< where the next one of the document begins
  bool ends_document = false;
};

/// Row groups count from 0 in the part, whose first group may be cut at its beginning, the last at
/// its end. Not thread-safe.
class ShardReader {
 public:
  virtual ~ShardReader() = default;
  /// Goes to a row group, best not to an earlier one; false when there are fewer.
  [[nodiscard]] virtual bool open_group(int64_t group) = 0;
  /// Right after open_group: leaves out all before that piece, which an earlier reader gave out.
  virtual void skip_to(int64_t document, int64_t offset) = 0;
  /// Appends the next piece of the group to `tokens`; false at the group's end.
  [[nodiscard]] virtual bool next(TokenPiece& piece, std::vector<int32_t>& tokens) = 0;
};

/// Opens by the file's ending. `tokenizer` and `stop` must outlive the reader, whose long scans end
/// with GroupedDocuments::Stopped when `stop` becomes true. Throws as DocumentSource.
[[nodiscard]] std::unique_ptr<ShardReader> open_shard(const DataPart& part,
                                                      const DocumentSourceOptions& options,
                                                      const Tokenizer& tokenizer,
                                                      const std::atomic<bool>& stop);

}  // namespace nanochat
