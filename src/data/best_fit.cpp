#include "data/best_fit.h"

#include <algorithm>

#include "core/error.h"

namespace nanochat {

void BestFitBuffer::push(std::span<const int32_t> tokens, int64_t length) {
  NC_CHECK(std::ssize(tokens) == std::min(length, capacity_), "{} tokens of {}", tokens.size(),
           length);
  lengths_.push_back(length);
  documents_.emplace_back(tokens.begin(), tokens.end());
}

int64_t BestFitBuffer::place(std::span<int32_t> row) {
  NC_CHECK(!lengths_.empty(), "no document to place");
  const auto room = std::ssize(row);
  int64_t longest = 0;
  size_t best = 0, shortest = 0;
  for (size_t i = 0; i < lengths_.size(); ++i) {
    const int64_t length = lengths_[i];
    if (length <= room && length > longest) {
      longest = length;
      best = i;
    }
    if (length < lengths_[shortest]) shortest = i;
  }
  const size_t chosen = longest > 0 ? best : shortest;
  const std::vector<int32_t>& document = documents_[chosen];
  const int64_t n = std::min(room, std::ssize(document));
  std::copy_n(document.begin(), n, row.begin());
  lengths_.erase(lengths_.begin() + static_cast<int64_t>(chosen));
  documents_.erase(documents_.begin() + static_cast<int64_t>(chosen));
  return n;
}

}  // namespace nanochat
