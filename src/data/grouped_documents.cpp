#include "data/grouped_documents.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace nanochat {

namespace {
constexpr int64_t kScanStep = 4096;  // documents between two looks at `stop`
}

GroupedDocuments::GroupedDocuments(std::filesystem::path path, DocumentSourceOptions options,
                                   const std::atomic<bool>* stop)
    : path_(std::move(path)), options_(std::move(options)), stop_(stop) {
  reopen();
  int64_t end = 0;
  for (const int64_t size : reader_->group_sizes()) {
    if (group_begins_.empty()) group_begins_.push_back(0);
    group_begins_.push_back(end += size);
  }
}

void GroupedDocuments::reopen() {
  reader_ = open_documents(path_, options_);
  batch_ = {};
  taken_ = 0;
  position_ = 0;
}

void GroupedDocuments::check_stop() const {
  if (stop_ != nullptr && stop_->load(std::memory_order_relaxed)) throw Stopped{};
}

int64_t GroupedDocuments::count() {
  if (!group_begins_.empty()) return group_begins_.back();
  GroupedDocuments scan(path_, options_, stop_);
  return scan.skip_in_file(std::numeric_limits<int64_t>::max());
}

int64_t GroupedDocuments::first_document(int64_t group) const {
  if (group_begins_.empty()) return group * kGroupDocuments;
  const auto last = std::ssize(group_begins_) - 1;
  return group_begins_[static_cast<size_t>(std::min(group, last))];
}

int64_t GroupedDocuments::group_of(int64_t document) const {
  if (group_begins_.empty()) return document / kGroupDocuments;
  return std::ranges::upper_bound(group_begins_, document) - group_begins_.begin() - 1;
}

bool GroupedDocuments::open_group(int64_t group) {
  if (!group_begins_.empty()) {
    if (group + 1 >= std::ssize(group_begins_)) return false;
    reader_->seek_group(group);
    batch_ = {};
    taken_ = 0;
    position_ = first_document(group);
    group_end_ = first_document(group + 1);
    return true;
  }
  const int64_t first = first_document(group);
  if (first < position_) reopen();
  group_end_ = first + kGroupDocuments;
  skip_in_file(first - position_);
  return position_ == first && load();
}

int64_t GroupedDocuments::skip(int64_t n) {
  return skip_in_file(std::min(n, group_end_ - position_));
}

bool GroupedDocuments::next(std::string_view& document) {
  if (position_ >= group_end_ || !load()) return false;
  document = batch_.documents[taken_++];
  ++position_;
  return true;
}

bool GroupedDocuments::load() {
  if (taken_ < batch_.documents.size()) return true;
  check_stop();
  taken_ = 0;
  return reader_->next(batch_);
}

int64_t GroupedDocuments::skip_in_file(int64_t n) {
  int64_t skipped = 0;
  while (skipped < n) {
    const int64_t buffered = std::ssize(batch_.documents) - static_cast<int64_t>(taken_);
    int64_t step = std::min(n - skipped, buffered);
    if (buffered > 0) {
      taken_ += static_cast<size_t>(step);
    } else {
      check_stop();
      step = reader_->skip(std::min(n - skipped, kScanStep));
      if (step == 0 && !load()) break;
    }
    skipped += step;
    position_ += step;
  }
  return skipped;
}

}  // namespace nanochat
