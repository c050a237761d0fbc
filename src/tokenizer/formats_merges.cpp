#include "tokenizer/formats_merges.h"

#include <functional>
#include <queue>
#include <string_view>
#include <tuple>
#include <unordered_map>

namespace nanochat {
namespace {

class MergeFinder {
 public:
  explicit MergeFinder(std::span<const std::string> tokens) {
    ids_.reserve(tokens.size());
    for (size_t id = 0; id < tokens.size(); ++id)
      ids_.emplace(tokens[id], static_cast<int32_t>(id));
  }

  MergeParts parts_of(std::string_view token) {
    if (token.size() < 2) return {};
    start(token);
    size_t n_parts = token.size();
    while (n_parts > 2) {
      if (heap_.empty()) return {};
      const Candidate c = heap_.top();
      heap_.pop();
      if (end_[c.begin] != c.middle || end_[c.middle] != c.end) continue;  // a part has changed
      end_[c.begin] = c.end;
      end_[c.middle] = 0;
      if (c.end < token.size()) before_[c.end] = c.begin;
      --n_parts;
      if (c.begin > 0) consider(before_[c.begin], c.begin, c.end);
      if (c.end < token.size()) consider(c.begin, c.end, end_[c.end]);
    }
    return {id_of(token.substr(0, end_[0])), id_of(token.substr(end_[0]))};
  }

 private:
  struct Candidate {
    int32_t rank;
    size_t begin, middle, end;
    bool operator>(const Candidate& other) const {
      return std::tie(rank, begin) > std::tie(other.rank, other.begin);
    }
  };

  int32_t id_of(std::string_view bytes) const { return ids_.find(bytes)->second; }

  void start(std::string_view token) {
    token_ = token;
    heap_ = {};
    end_.resize(token.size());
    before_.resize(token.size());
    for (size_t i = 0; i < token.size(); ++i) {
      end_[i] = i + 1;
      before_[i] = i - 1;  // never read at 0
    }
    for (size_t i = 0; i + 1 < token.size(); ++i) consider(i, i + 1, i + 2);
  }

  void consider(size_t begin, size_t middle, size_t end) {
    const auto found = ids_.find(token_.substr(begin, end - begin));
    if (found != ids_.end()) heap_.push({found->second, begin, middle, end});
  }

  std::unordered_map<std::string_view, int32_t> ids_;
  std::string_view token_;
  // By the offset where a part begins: where it ends (0: no part begins here any more), and where
  // the part before it begins.
  std::vector<size_t> end_, before_;
  std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> heap_;
};

}  // namespace

std::vector<MergeParts> find_merges(std::span<const std::string> tokens) {
  MergeFinder finder(tokens);
  std::vector<MergeParts> merges(tokens.size());
  for (size_t id = 0; id < tokens.size(); ++id) merges[id] = finder.parts_of(tokens[id]);
  return merges;
}

}  // namespace nanochat
