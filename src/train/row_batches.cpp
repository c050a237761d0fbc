#include "train/row_batches.h"

#include <algorithm>
#include <utility>

#include "core/error.h"

namespace nanochat {
namespace {

int64_t inputs_of(const TrainRow& row) { return std::ssize(row.tokens.ids) - 1; }

}  // namespace

int64_t supervised_tokens(const RenderedConversation& row) {
  return row.mask.empty() ? 0 : std::count_if(row.mask.begin() + 1, row.mask.end(), [](uint8_t m) {
    return m != 0;
  });
}

RowBatches::RowBatches(int64_t rows, int64_t sequence_len)
    : sequence_len_(sequence_len), capacity_(rows * sequence_len) {
  NC_CHECK(rows > 0 && sequence_len > 0);
  granule_ = std::clamp<int64_t>(capacity_ / 16, 1, sequence_len);
}

int64_t RowBatches::assign(std::vector<TrainRow> rows) {
  rows_ = std::move(rows);
  std::erase_if(rows_, [](const TrainRow& row) { return inputs_of(row) < 1; });
  next_ = 0;
  int64_t batches = 0;
  for (size_t begin = 0; begin < rows_.size(); ++batches) {
    int64_t n = 0;
    begin = end_of_batch(begin, n);
  }
  return batches;
}

size_t RowBatches::end_of_batch(size_t begin, int64_t& n_tokens) const {
  size_t end = begin;
  for (; end < rows_.size(); ++end) {
    const int64_t n = inputs_of(rows_[end]);
    NC_CHECK(n <= sequence_len_, "a row of {} inputs", n);
    if (n_tokens + n > capacity_) break;
    n_tokens += n;
  }
  return end;
}

void RowBatches::next(Batch& batch) {
  NC_CHECK(!empty());
  int64_t n_tokens = 0;
  const size_t end = end_of_batch(next_, n_tokens);
  const int64_t N = (n_tokens + granule_ - 1) / granule_ * granule_;
  if (!batch.ids || batch.ids.numel() != N) {
    batch.ids = Tensor({N}, DType::kI32);
    batch.targets = Tensor({N}, DType::kI32);
    batch.weights = Tensor({N}, DType::kF32);
  }
  int32_t* ids = batch.ids.data<int32_t>();
  int32_t* targets = batch.targets.data<int32_t>();
  float* weights = batch.weights.data<float>();
  runs_.clear();
  int64_t at = 0;
  for (; next_ < end; ++next_) {
    const auto& [tokens, weight] = rows_[next_];
    const int64_t n = inputs_of(rows_[next_]);
    runs_.push_back({.row_begin = static_cast<int32_t>(at), .length = static_cast<int32_t>(n)});
    for (int64_t i = 0; i < n; ++i, ++at) {
      const auto k = static_cast<size_t>(i);
      const bool counts = tokens.mask[k + 1] != 0;
      ids[at] = tokens.ids[k];
      targets[at] = counts ? tokens.ids[k + 1] : -1;
      weights[at] = counts ? static_cast<float>(weight) : 0;
    }
  }
  if (at < N) {
    runs_.push_back(
        {.row_begin = static_cast<int32_t>(at), .length = static_cast<int32_t>(N - at)});
    std::fill(ids + at, ids + N, 0);
    std::fill(targets + at, targets + N, -1);
    std::fill(weights + at, weights + N, 0.0F);
  }
  batch.runs.assign(runs_, N);
  tokens_ += n_tokens;
}

}  // namespace nanochat
