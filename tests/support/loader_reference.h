/// Upstream's data loaders, written as plainly as their description: what ours must agree with.
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "data/token_loader.h"

namespace nanochat::test {

using Document = std::vector<int32_t>;  // with the token that begins it
using RowGroup = std::vector<Document>;
using Corpus = std::vector<std::vector<RowGroup>>;  // [file][row group]

/// Sub-batches of documents of one rank, epoch after epoch.
class ReferenceStream {
 public:
  ReferenceStream(Corpus corpus, const TokenLoaderOptions& options)
      : corpus_(std::move(corpus)), options_(options), group_(options.rank) {}

  struct SubBatch {
    std::vector<Document> documents;
    int64_t epoch = 0, file = 0, group = 0;
  };
  /// False at the end of an epoch, if there is but one. There must be documents.
  bool next(SubBatch& out) {
    for (;;) {
      if (file_ == std::ssize(corpus_)) {
        if (!options_.endless) return false;
        ++epoch_;
        file_ = 0;
        group_ = options_.rank;
      }
      const auto& groups = corpus_[static_cast<size_t>(file_)];
      if (group_ >= std::ssize(groups)) {
        ++file_;
        group_ = options_.rank;
        continue;
      }
      const RowGroup& group = groups[static_cast<size_t>(group_)];
      if (document_ >= std::ssize(group)) {
        group_ += options_.world_size;
        document_ = 0;
        continue;
      }
      const int64_t end = std::min(document_ + options_.tokenizer_batch_size, std::ssize(group));
      out = {.documents = {group.begin() + document_, group.begin() + end},
             .epoch = epoch_,
             .file = file_,
             .group = group_};
      document_ = end;
      return true;
    }
  }

 private:
  Corpus corpus_;
  TokenLoaderOptions options_;
  int64_t epoch_ = 1, file_ = 0, group_, document_ = 0;
};

class ReferenceLoader {
 public:
  ReferenceLoader(Corpus corpus, const TokenLoaderOptions& options)
      : options_(options), stream_(std::move(corpus), options) {}

  bool next(TokenBatch& batch) {
    batch.ids.clear();
    batch.targets.clear();
    const bool full = options_.packing == Packing::kStream ? next_stream(batch) : next_rows(batch);
    batch.epoch = last_.epoch;
    batch.file = last_.file;
    batch.group = last_.group;
    return full;
  }

 private:
  bool next_stream(TokenBatch& batch) {
    const auto need = static_cast<size_t>(options_.device_batch_size * options_.sequence_len) + 1;
    while (tokens_.size() < need) {
      if (!stream_.next(last_)) return false;
      for (const Document& d : last_.documents) tokens_.insert(tokens_.end(), d.begin(), d.end());
    }
    const auto end = tokens_.begin() + static_cast<int64_t>(need);
    batch.ids.assign(tokens_.begin(), end - 1);
    batch.targets.assign(tokens_.begin() + 1, end);
    tokens_.erase(tokens_.begin(), end);
    return true;
  }

  bool next_rows(TokenBatch& batch) {
    for (int64_t b = 0; b < options_.device_batch_size; ++b) {
      Document row;
      const auto capacity = static_cast<size_t>(options_.sequence_len) + 1;
      while (row.size() < capacity) {
        while (std::ssize(buffer_) < options_.buffer_size && stream_.next(last_)) {
          buffer_.insert(buffer_.end(), last_.documents.begin(), last_.documents.end());
        }
        if (buffer_.empty()) return false;
        const size_t remaining = capacity - row.size();
        int64_t best = -1, shortest = 0;
        for (int64_t i = 0; i < std::ssize(buffer_); ++i) {
          const size_t length = at(i).size();
          if (length <= remaining && (best < 0 || length > at(best).size())) best = i;
          if (length < at(shortest).size()) shortest = i;
        }
        const int64_t chosen = best >= 0 ? best : shortest;
        const size_t n = std::min(remaining, at(chosen).size());
        row.insert(row.end(), at(chosen).begin(), at(chosen).begin() + static_cast<int64_t>(n));
        buffer_.erase(buffer_.begin() + chosen);
      }
      batch.ids.insert(batch.ids.end(), row.begin(), row.end() - 1);
      batch.targets.insert(batch.targets.end(), row.begin() + 1, row.end());
    }
    return true;
  }
  [[nodiscard]] const Document& at(int64_t i) const { return buffer_[static_cast<size_t>(i)]; }

  TokenLoaderOptions options_;
  ReferenceStream stream_;
  ReferenceStream::SubBatch last_;
  Document tokens_;
  std::vector<Document> buffer_;
};

}  // namespace nanochat::test
