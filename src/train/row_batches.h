/// Micro-batches out of rows of any length.
#pragma once

#include <cstdint>
#include <vector>

#include "model/gpt.h"
#include "tokenizer/conversation.h"

namespace nanochat {

/// A row of n + 1 tokens trains n: token i is the input, token i + 1 its target, ignored where the
/// mask of i + 1 is 0.
struct TrainRow {
  RenderedConversation tokens;
  double weight = 1;  ///< what the loss of each of its targets counts for; may be negative
};

/// Targets of the row that are not ignored.
[[nodiscard]] int64_t supervised_tokens(const RenderedConversation& row);

/// Each row is a run of its own (ops/token_runs.h), so rows of different lengths lie behind one
/// another and none is padded to another's length; the numbers are those of padded rows. What is
/// padded is the end of a micro-batch, to one of about sixteen sizes, since the backend keeps its
/// products by size.
class RowBatches {
 public:
  /// A micro-batch has room for `rows` rows of `sequence_len` inputs.
  RowBatches(int64_t rows, int64_t sequence_len);

  /// Rows of 1 to sequence_len + 1 tokens; those of one token are left out. Cuts them into
  /// micro-batches, in order, each as full as it can be; returns how many these are.
  int64_t assign(std::vector<TrainRow> rows);
  [[nodiscard]] bool empty() const noexcept { return next_ == rows_.size(); }
  /// The next micro-batch; not when empty().
  void next(Batch& batch);
  /// Inputs given out so far, without padding.
  [[nodiscard]] int64_t tokens() const noexcept { return tokens_; }

 private:
  [[nodiscard]] size_t end_of_batch(size_t begin, int64_t& n_tokens) const;

  int64_t sequence_len_, capacity_, granule_;
  std::vector<TrainRow> rows_;
  size_t next_ = 0;
  std::vector<Run> runs_;
  int64_t tokens_ = 0;
};

}  // namespace nanochat
