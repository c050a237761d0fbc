#include "train/conversation_source.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include <fmt/format.h>

#include "core/error.h"

namespace nanochat {

ConversationSource::ConversationSource(const Task& task, const Tokenizer& tokenizer,
                                       const ConversationRowsOptions& options,
                                       int64_t device_batch_size, int64_t rows_per_step,
                                       const nlohmann::ordered_json& state,
                                       const std::string& where)
    : rows_(task, tokenizer, options, state, where),
      batches_(device_batch_size, options.sequence_len),
      rows_per_step_(rows_per_step) {}

std::vector<TrainRow> ConversationSource::take(int64_t n_rows) {
  std::vector<TrainRow> rows;
  TrainRow row;
  while (std::ssize(rows) < n_rows && rows_.next(row.tokens)) rows.push_back(std::move(row));
  return rows;
}

int64_t ConversationSource::begin_step(int64_t /*step*/) {
  using Clock = std::chrono::steady_clock;
  const Clock::time_point start = Clock::now();
  std::vector<TrainRow> rows = take(rows_per_step_);
  NC_CHECK(std::ssize(rows) == rows_per_step_, "endless conversations have ended");
  supervised_ = 0;
  for (const TrainRow& row : rows) supervised_ += supervised_tokens(row.tokens);
  for (TrainRow& row : rows)
    row.weight = 1 / static_cast<double>(std::max<int64_t>(1, supervised_));
  const int64_t micro_batches = batches_.assign(std::move(rows));
  wait_seconds_ += std::chrono::duration<double>(Clock::now() - start).count();
  return micro_batches;
}

bool ConversationSource::try_next(Batch& batch) {
  if (batches_.empty() && batches_.assign(take(rows_per_step_)) == 0) return false;
  batches_.next(batch);
  return true;
}

std::string ConversationSource::place() const {
  return fmt::format("epoch {}, {:.0f}% of it", rows_.epoch() + 1, 100 * rows_.share());
}

}  // namespace nanochat
