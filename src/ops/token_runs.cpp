#include "ops/token_runs.h"

#include <algorithm>
#include <limits>

namespace nanochat {

TokenRuns::TokenRuns(std::span<const Run> runs, int64_t n_tokens) { assign(runs, n_tokens); }

TokenRuns TokenRuns::uniform(int64_t B, int64_t T) {
  std::vector<Run> runs(static_cast<size_t>(B));
  for (int64_t b = 0; b < B; ++b) {
    runs[static_cast<size_t>(b)] = {.row_begin = static_cast<int32_t>(b * T),
                                    .length = static_cast<int32_t>(T),
                                    .position = 0,
                                    .slot = static_cast<int32_t>(b)};
  }
  return {runs, B * T};
}

void TokenRuns::assign(std::span<const Run> runs, int64_t n_tokens) {
  if (n_tokens > std::numeric_limits<int32_t>::max()) {
    throw ShapeError("token runs: {} tokens in one batch, at most 2^31 - 1 fit", n_tokens);
  }
  int64_t next = 0, longest = 0, end = 0;
  for (const Run& r : runs) {
    if (r.row_begin != next || r.length < 0 || r.position < 0 || r.slot < 0 ||
        r.row_begin + static_cast<int64_t>(r.length) > n_tokens) {
      throw ShapeError(
          "token runs: run at row {} of length {}, position {}, slot {}: expected it at row {} and "
          "inside the batch's {} rows",
          r.row_begin, r.length, r.position, r.slot, next, n_tokens);
    }
    next += r.length;
    longest = std::max<int64_t>(longest, r.length);
    end = std::max<int64_t>(end, static_cast<int64_t>(r.position) + r.length);
  }
  if (next != n_tokens) {
    throw ShapeError("token runs cover {} rows of a batch of {}", next, n_tokens);
  }
  runs_.assign(runs.begin(), runs.end());
  n_tokens_ = n_tokens;
  max_length_ = longest;
  end_position_ = end;
}

}  // namespace nanochat
