/// The batches that training and evaluation draw: documents, tokenised ahead and packed into rows.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "data/document_source.h"
#include "data/split.h"
#include "tokenizer/tokenizer.h"

namespace nanochat {

enum class Packing : uint8_t {
  /// Classic upstream's: one stream of tokens cut into rows. Every batch takes B * T + 1 tokens off
  /// the stream; the last one is only a target, and no batch begins with it.
  kStream,
  /// Modern upstream's: every row begins with a document, filled with the longest buffered ones
  /// that fit; when none does, the shortest fills up the row, and the rest of it is thrown away.
  kBestFit,
};

struct TokenLoaderOptions {
  int64_t device_batch_size = 1;  ///< B, rows of this process
  int64_t sequence_len = 1;       ///< T
  Packing packing = Packing::kStream;
  int rank = 0, world_size = 1;
  /// After the last document the first follows, and the epoch counts up; false: next() returns
  /// false when what is left does not fill a batch (a row, for best fit).
  bool endless = true;
  DocumentSourceOptions documents{};   ///< text_field, txt_separator, skip_bad_shards
  int64_t tokenizer_batch_size = 128;  ///< best fit: documents read at once, of one row group
  int64_t buffer_size = 1000;          ///< best fit: documents to choose among, at least
  /// Tokens of about so many batches wait, encoded by a thread of the loader's own.
  int64_t batches_ahead = 4;
};

/// One micro-batch of a process.
struct TokenBatch {
  std::vector<int32_t> ids;      ///< [B*T], row by row
  std::vector<int32_t> targets;  ///< [B*T], the token that follows each
  // Where the last document that was read for it came from, as upstream's state has it.
  int64_t epoch = 1;  ///< from 1
  int64_t file = 0;   ///< index into the parts
  int64_t group = 0;  ///< row group of that part
};

/// Where the next batch begins: all that a checkpoint must hold so that a new loader goes on with
/// the very same batches.
struct LoaderState {
  std::string position;          ///< JSON on one line: the place, and which data and tokenizer
  std::vector<int32_t> tokens;   ///< best fit: of the documents in its buffer, as far as they count
  std::vector<int64_t> lengths;  ///< best fit: those documents' lengths in tokens
};

/// The order is upstream's: files in order, of each the row groups rank, rank + world_size, ...;
/// then the next epoch. Row groups are the file's own in parquet and .tok, 1024 documents in .jsonl
/// and .txt. Every document begins with the tokenizer's bos token.
///
/// A thread of the loader reads and encodes ahead; next() only copies, unless it has to wait for
/// it. Long documents are encoded in pieces, so memory does not grow with them. One thread at a
/// time may use a loader. It may be destroyed at any moment.
class TokenLoader {
 public:
  /// Begins at the beginning or, with `resume`, behind the batch after which that state was asked
  /// for. `tokenizer` must outlive the loader. Throws NotFoundError when a file is missing, and, if
  /// `resume` is of other data (names, sizes or contents at either end of a file), another
  /// tokenizer, another number of processes or another packing, UsageError, which says so.
  TokenLoader(std::vector<DataPart> parts, const Tokenizer& tokenizer,
              const TokenLoaderOptions& options, const std::optional<LoaderState>& resume = {});
  ~TokenLoader();
  TokenLoader(const TokenLoader&) = delete;
  TokenLoader& operator=(const TokenLoader&) = delete;

  /// Fills `batch`, whose memory is used again; false at the end, if there is one.
  /// Throws as DocumentSource::next what went wrong while reading, once the batches before the bad
  /// place have been given out; DataError when this process gets nothing to read: there are fewer
  /// row groups than processes. After an exception every call throws it.
  [[nodiscard]] bool next(TokenBatch& batch);

  /// Where the next batch begins.
  [[nodiscard]] LoaderState state() const;
  /// Time that next() has spent waiting for documents so far: what training lost.
  [[nodiscard]] double wait_seconds() const noexcept;
  /// Files given up so far, with the reason; each once.
  [[nodiscard]] std::vector<std::string> skipped() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace nanochat
