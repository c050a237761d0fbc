#include "data/shard_series.h"

#include <algorithm>
#include <utility>

#include "data/catalogue.h"

namespace nanochat {

ShardCuts::ShardCuts(int64_t documents, int64_t characters, const ConvertOptions& options)
    : documents_(documents),
      characters_(characters),
      shard_chars_(options.shard_chars),
      row_group_(options.row_group),
      latest_first_cut_(documents - std::max<int64_t>(documents / 10, 1)) {
  if (latest_first_cut_ >= row_group_) latest_first_cut_ -= latest_first_cut_ % row_group_;
}

bool ShardCuts::ends_after(int64_t characters) {
  --documents_;
  characters_ -= characters;
  ++shard_documents_;
  shard_characters_ += characters;
  const bool is_full = shard_characters_ >= shard_chars_ && shard_documents_ % row_group_ == 0;
  const bool leaves_enough = characters_ >= std::max<int64_t>(shard_chars_ / 10, 1);
  const bool is_needed = is_first_ && shard_documents_ == latest_first_cut_;
  if (documents_ > 0 && !(is_full && leaves_enough) && !is_needed) return false;
  shard_documents_ = shard_characters_ = 0;
  is_first_ = false;
  return true;
}

ShardSeries::ShardSeries(std::filesystem::path folder, ShardCuts cuts, int64_t row_group)
    : folder_(std::move(folder)), cuts_(cuts), row_group_(static_cast<size_t>(row_group)) {}

void ShardSeries::add(std::string_view document, int64_t characters) {
  if (!writer_) {
    shards_.push_back({.path = folder_ / shard_name(std::ssize(shards_))});
    writer_ = std::make_unique<ShardWriter>(shards_.back().path);
  }
  if (group_size_ == group_.size()) group_.emplace_back();
  group_[group_size_++] = document;
  ++shards_.back().documents;
  shards_.back().characters += characters;
  const bool ends = cuts_.ends_after(characters);
  if (ends || group_size_ == row_group_) write_group();
  if (ends) end_shard();
}

void ShardSeries::write_group() {
  const std::vector<std::string_view> documents(
      group_.begin(), group_.begin() + static_cast<std::ptrdiff_t>(group_size_));
  writer_->write_row_group(documents);
  group_size_ = 0;
}

void ShardSeries::end_shard() {
  writer_->commit();
  shards_.back().bytes = writer_->size_bytes();
  writer_.reset();
}

std::vector<ConvertedShard> ShardSeries::finish() {
  if (group_size_ > 0) write_group();  // only if there were fewer documents than promised
  if (writer_) end_shard();
  return std::move(shards_);
}

}  // namespace nanochat
