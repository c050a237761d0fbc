/// Micro-batches of conversations, for midtraining and supervised finetuning.
#pragma once

#include <string>

#include "train/batch_source.h"
#include "train/conversation_rows.h"
#include "train/row_batches.h"

namespace nanochat {

/// A step is so many rows, and every trained token of it counts alike: the loss is their mean over
/// the whole step. (Upstream takes the mean of each micro-batch, so that tokens of short ones count
/// more, and one without any is NaN.) How rows are cut into micro-batches changes nothing but
/// memory and speed. A step without a trained token has loss and gradient 0.
class ConversationSource final : public BatchSource {
 public:
  /// A micro-batch has room for device_batch_size x T tokens. `state` as ConversationRows.
  ConversationSource(const Task& task, const Tokenizer& tokenizer,
                     const ConversationRowsOptions& options, int64_t device_batch_size,
                     int64_t rows_per_step, const nlohmann::ordered_json& state = {},
                     const std::string& where = {});

  [[nodiscard]] int64_t begin_step(int64_t step) override;
  void next(Batch& batch) override { batches_.next(batch); }
  /// For an evaluation: rows in order, every target with weight 1; false at the end.
  [[nodiscard]] bool try_next(Batch& batch);

  [[nodiscard]] int64_t tokens() const override { return batches_.tokens(); }
  [[nodiscard]] double wait_seconds() const override { return wait_seconds_; }
  [[nodiscard]] std::string place() const override;
  [[nodiscard]] const ConversationRows& rows() const noexcept { return rows_; }
  /// Targets trained on in the step that has begun.
  [[nodiscard]] int64_t supervised() const noexcept { return supervised_; }

 private:
  [[nodiscard]] std::vector<TrainRow> take(int64_t n_rows);

  ConversationRows rows_;
  RowBatches batches_;
  int64_t rows_per_step_;
  int64_t supervised_ = 0;
  double wait_seconds_ = 0;
};

}  // namespace nanochat
