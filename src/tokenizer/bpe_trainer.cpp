#include "tokenizer/bpe_trainer.h"

#include <algorithm>
#include <limits>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>

#include "core/error.h"

// How the merges are found without counting everything again after each:
//
// - All words lie in one array with a slot per byte. A token of several bytes keeps its id in its
//   first and its last slot, so both neighbours of a token are found from its place and the tokens'
//   lengths; there are no links to store.
// - Words are sorted by how often they occur. A word's count then follows from its place.
// - The index has, per pair, its count and the places where it stands, in ascending order. A merge
//   visits just those. Places go stale when a neighbouring merge takes one of the tokens away; one
//   look at the slots tells.
// - Counts of pairs only fall: a merge takes occurrences from the pairs around it and gives them to
//   pairs with the new token, which exist from then on. So the heap may hold counts that were true
//   once; one that comes up and is no longer true goes back with today's count.
// - For the same reason a pair below some count can wait until the highest count has come down to
//   it. The index leaves such pairs out, which are nearly all, and is built again, further down,
//   when it has run dry.

namespace nanochat {
namespace {

constexpr uint32_t kWordEnd = 0xffffffff;  // between words, and before the first
constexpr uint32_t kInside = 0xfffffffe;   // where a token began that is now part of another
constexpr uint64_t kNoPair = 0xffffffffffffffff;

// The index holds the pairs with at least 1/kIndexDepth of the highest count. 32503 merges in 40 MB
// of English and Chinese five times over took, at a depth of 16, four indexes, 1.6 s and 213 MB; at
// 256 two, 1.3 s and 166 MB; with all pairs in one 2.0 s and 361 MB.
constexpr int64_t kIndexDepth = 256;

constexpr uint64_t pair_key(uint32_t left, uint32_t right) noexcept {
  return uint64_t{left} << 32 | right;
}

struct PairInfo {
  uint64_t key = kNoPair;
  int64_t count = 0;
  std::unique_ptr<uint32_t[]> places;  // slots of the left token, ascending, some stale
  uint32_t n_places = 0;
};

// Pairs by key: open addressing, no removal.
class PairTable {
 public:
  PairInfo* find(uint64_t key) noexcept {
    if (slots_.empty()) return nullptr;
    PairInfo& info = slots_[slot_of(key)];
    return info.key == key ? &info : nullptr;
  }
  // A new one is all zeros. The reference is good until the next insertion.
  PairInfo& operator[](uint64_t key) {
    if (n_ * 3 >= slots_.size() * 2) grow();
    PairInfo& info = slots_[slot_of(key)];
    if (info.key == kNoPair) {
      info.key = key;
      ++n_;
    }
    return info;
  }
  // f(info) for every pair.
  template <typename F>
  void for_each(F&& f) {
    for (PairInfo& info : slots_) {
      if (info.key != kNoPair) f(info);
    }
  }

 private:
  // Where the key is, or the free slot where it belongs.
  [[nodiscard]] size_t slot_of(uint64_t key) const noexcept {
    const size_t mask = slots_.size() - 1;
    uint64_t h = key * 0x9e3779b97f4a7c15;
    size_t i = (h ^ h >> 32) & mask;
    while (slots_[i].key != key && slots_[i].key != kNoPair) i = (i + 1) & mask;
    return i;
  }
  void grow() {
    std::vector<PairInfo> old(slots_.empty() ? 1024 : slots_.size() * 2);
    old.swap(slots_);
    for (PairInfo& info : old) {
      if (info.key != kNoPair) slots_[slot_of(info.key)] = std::move(info);
    }
  }

  std::vector<PairInfo> slots_;
  size_t n_ = 0;
};

// The words and what has become of them.
class Words {
 public:
  explicit Words(ChunkCounter counter) {
    struct Word {
      std::string_view bytes;
      int64_t count;
    };
    std::vector<Word> words;
    words.reserve(static_cast<size_t>(counter.n_distinct()));
    size_t n_slots = 1;
    counter.visit([&](std::string_view bytes, int64_t count) {
      if (bytes.size() < 2) return;  // no pair in it
      words.push_back({bytes, count});
      n_slots += bytes.size() + 1;
    });
    if (n_slots > std::numeric_limits<uint32_t>::max()) {
      throw DataError("the distinct chunks hold {} bytes, 4 GiB is the most: train on less text",
                      n_slots);
    }
    std::sort(words.begin(), words.end(),
              [](const Word& a, const Word& b) { return a.count > b.count; });
    slots_.reserve(n_slots);
    slots_.push_back(kWordEnd);
    for (const Word& word : words) {
      for (const char c : word.bytes) slots_.push_back(static_cast<unsigned char>(c));
      slots_.push_back(kWordEnd);
      if (classes_.empty() || classes_.back().count != word.count) {
        classes_.push_back({0, word.count});
      }
      classes_.back().end = static_cast<uint32_t>(slots_.size());
    }
    size_t at = 0;
    for (size_t slot = 0; slot < slots_.size(); slot += kBlock) {
      while (at + 1 < classes_.size() && classes_[at].end <= slot) ++at;
      first_class_.push_back(static_cast<uint32_t>(at));
    }
    lengths_.assign(256, 1);
  }

  [[nodiscard]] uint32_t n_tokens() const noexcept {
    return static_cast<uint32_t>(lengths_.size());
  }
  // The id of left and right merged.
  uint32_t add_token(uint32_t left, uint32_t right) {
    lengths_.push_back(lengths_[left] + lengths_[right]);
    return n_tokens() - 1;
  }

  // How often the word around this place occurs in the corpus.
  [[nodiscard]] int64_t count_at(uint32_t place) const noexcept {
    uint32_t at = first_class_[place / kBlock];
    while (classes_[at].end <= place) ++at;
    return classes_[at].count;
  }
  [[nodiscard]] uint32_t token_at(uint32_t place) const noexcept { return slots_[place]; }
  // Or kWordEnd.
  [[nodiscard]] uint32_t token_before(uint32_t place) const noexcept { return slots_[place - 1]; }
  [[nodiscard]] uint32_t length(uint32_t token) const noexcept { return lengths_[token]; }

  // Puts `token` in place of the two that begin here.
  void merge(uint32_t place, uint32_t left_length, uint32_t token) noexcept {
    // First, since the right token's only slot may be the last one too. Where the left one ended
    // needs nothing: no place in the index is there, unless it is also where it began.
    slots_[place + left_length] = kInside;
    slots_[place] = token;
    slots_[place + lengths_[token] - 1] = token;
  }

  // f(place, left, right, count) for every pair of neighbours, in order.
  template <typename F>
  void for_each_pair(F&& f) const {
    size_t at = 0;
    const auto n_slots = static_cast<uint32_t>(slots_.size());
    for (uint32_t place = 1; place < n_slots;) {
      while (classes_[at].end <= place) ++at;
      const int64_t count = classes_[at].count;
      uint32_t left = slots_[place];
      for (;;) {
        const uint32_t next = place + lengths_[left];
        const uint32_t right = slots_[next];
        if (right == kWordEnd) {
          place = next + 1;
          break;
        }
        f(place, left, right, count);
        place = next;
        left = right;
      }
    }
  }

 private:
  // Words that occur equally often stand together.
  struct CountClass {
    uint32_t end;  // after the last one's kWordEnd
    int64_t count;
  };
  static constexpr uint32_t kBlock = 64;

  std::vector<uint32_t> slots_;
  std::vector<CountClass> classes_;
  std::vector<uint32_t> first_class_;  // [place / kBlock]
  std::vector<uint32_t> lengths_;      // [token], in bytes
};

class Merger {
 public:
  explicit Merger(ChunkCounter counter) : words_(std::move(counter)) {}

  std::optional<Merge> step() {
    for (;;) {
      if (heap_.empty()) {
        if (indexed_from_ == 1 || !build_index()) return std::nullopt;
      }
      std::pop_heap(heap_.begin(), heap_.end());
      const HeapEntry top = heap_.back();
      heap_.pop_back();
      PairInfo& info = *pairs_.find(top.key);
      if (info.count == top.count) {
        const Merge merge{static_cast<int32_t>(top.key >> 32),
                          static_cast<int32_t>(top.key & 0xffffffff), top.count};
        const std::unique_ptr<uint32_t[]> places = std::move(info.places);
        info.count = 0;
        replace(static_cast<uint32_t>(merge.left), static_cast<uint32_t>(merge.right),
                {places.get(), info.n_places});
        return merge;
      }
      if (info.count >= indexed_from_) push({info.count, top.key});
    }
  }

 private:
  struct HeapEntry {
    int64_t count;
    uint64_t key;
    // The greatest is the next to merge.
    bool operator<(const HeapEntry& other) const noexcept {
      return count != other.count ? count < other.count : key > other.key;
    }
  };
  // A token next to the merged pair, on one of its sides.
  struct Neighbour {
    int64_t count = 0;
    uint32_t n_places = 0;
    std::unique_ptr<uint32_t[]> places;  // of the new pair, when the index takes it

    void note(uint32_t place) noexcept {
      if (places) places[n_places++] = place;
    }
  };
  // The neighbours on one side: an array to find them, a list to visit them.
  struct Side {
    std::vector<Neighbour> of;  // [token], all zeros between merges
    std::vector<uint32_t> seen;

    void add(uint32_t token, int64_t count) {
      Neighbour& neighbour = of[token];
      if (neighbour.n_places++ == 0) seen.push_back(token);
      neighbour.count += count;
    }
  };

  void push(const HeapEntry& entry) {
    heap_.push_back(entry);
    std::push_heap(heap_.begin(), heap_.end());
  }

  // False if no pair is left.
  bool build_index() {
    pairs_ = {};
    PairTable all;
    words_.for_each_pair([&](uint32_t, uint32_t left, uint32_t right, int64_t count) {
      PairInfo& info = all[pair_key(left, right)];
      info.count += count;
      ++info.n_places;
    });
    int64_t highest = 0;
    all.for_each([&](const PairInfo& info) { highest = std::max(highest, info.count); });
    if (highest == 0) return false;
    indexed_from_ = std::max<int64_t>(1, highest / kIndexDepth);
    all.for_each([&](const PairInfo& info) {
      if (info.count < indexed_from_) return;
      PairInfo& kept = pairs_[info.key];
      kept.count = info.count;
      kept.places = std::make_unique_for_overwrite<uint32_t[]>(info.n_places);
      heap_.push_back({info.count, info.key});
    });
    all = {};
    std::make_heap(heap_.begin(), heap_.end());
    words_.for_each_pair([&](uint32_t place, uint32_t left, uint32_t right, int64_t) {
      PairInfo* const info = pairs_.find(pair_key(left, right));
      if (info != nullptr) info->places[info->n_places++] = place;
    });
    return true;
  }

  // The index's part in occurrences that a pair loses.
  void take(uint64_t key, int64_t count) noexcept {
    PairInfo* const info = pairs_.find(key);
    if (info == nullptr) return;
    info->count -= count;
    if (info->count < indexed_from_) info->places.reset();
  }

  // A new pair enters the index if it was given places; its neighbour is all zeros again.
  void give(uint64_t key, Neighbour& neighbour) {
    if (neighbour.places) {
      PairInfo& info = pairs_[key];
      info.count = neighbour.count;
      info.places = std::move(neighbour.places);
      info.n_places = neighbour.n_places;
      push({info.count, key});
    }
    neighbour = {};
  }

  // Merges a and b wherever they stand; `places` is overwritten.
  void replace(uint32_t a, uint32_t b, std::span<uint32_t> places) {
    const uint32_t merged = words_.add_token(a, b);
    before_.of.resize(words_.n_tokens());
    after_.of.resize(words_.n_tokens());
    const uint32_t a_length = words_.length(a);
    const uint32_t merged_length = words_.length(merged);

    // First replace, and count the neighbours x and y: so many occurrences go from (x, a) to
    // (x, merged) and from (b, y) to (merged, y).
    size_t n_replaced = 0;
    for (const uint32_t place : places) {
      // A slot that holds `a` is the first of its token: had it become the last of one, that one
      // would be longer than the `a` which began here.
      if (words_.token_at(place) != a || words_.token_at(place + a_length) != b) continue;
      const int64_t count = words_.count_at(place);
      const uint32_t x = words_.token_before(place);
      const uint32_t y = words_.token_at(place + merged_length);
      words_.merge(place, a_length, merged);
      places[n_replaced++] = place;
      if (y != kWordEnd) after_.add(y, count);
      if (x == merged) {
        after_.add(merged, count);  // of that x, which has counted this `a` as its y
      } else if (x != kWordEnd) {
        before_.add(x, count);
      }
    }
    for (const uint32_t x : before_.seen) take(pair_key(x, a), before_.of[x].count);
    for (const uint32_t y : after_.seen) take(pair_key(b, y), after_.of[y].count);
    after_.of[a].count -= after_.of[merged].count;  // both 0 unless pairs stood side by side
    bool any_kept = false;
    for (Side* const side : {&before_, &after_}) {
      for (const uint32_t token : side->seen) {
        Neighbour& n = side->of[token];
        if (n.count < indexed_from_) continue;
        n.places = std::make_unique_for_overwrite<uint32_t[]>(n.n_places);
        n.n_places = 0;
        any_kept = true;
      }
    }
    // Then note where the new pairs are, as far as the index takes them.
    if (any_kept) {
      for (const uint32_t place : places.first(n_replaced)) {
        const uint32_t x = words_.token_before(place);
        if (x != kWordEnd && x != merged) before_.of[x].note(place - words_.length(x));
        const uint32_t y = words_.token_at(place + merged_length);
        if (y != kWordEnd) after_.of[y].note(place);
      }
    }
    for (const uint32_t x : before_.seen) give(pair_key(x, merged), before_.of[x]);
    for (const uint32_t y : after_.seen) give(pair_key(merged, y), after_.of[y]);
    before_.seen.clear();
    after_.seen.clear();
  }

  Words words_;
  PairTable pairs_;
  std::vector<HeapEntry> heap_;
  int64_t indexed_from_ = std::numeric_limits<int64_t>::max();  // the lowest count in the index
  Side before_, after_;
};

}  // namespace

std::vector<Merge> train_bpe(ChunkCounter&& counter, int64_t n_merges,
                             const std::function<void(int64_t)>& progress) {
  NC_CHECK(n_merges < (int64_t{1} << 31) - 256, "ids are 31 bits: {} merges", n_merges);
  constexpr int64_t kProgressEvery = 16;
  Merger merger(std::move(counter));
  std::vector<Merge> merges;
  while (std::ssize(merges) < n_merges) {
    const std::optional<Merge> merge = merger.step();
    if (!merge) break;
    merges.push_back(*merge);
    if (progress && std::ssize(merges) % kProgressEvery == 0) progress(std::ssize(merges));
  }
  if (progress) progress(std::ssize(merges));
  return merges;
}

std::vector<std::string> token_strings(std::span<const Merge> merges) {
  std::vector<std::string> tokens;
  tokens.reserve(256 + merges.size());
  for (int byte = 0; byte < 256; ++byte) tokens.emplace_back(1, static_cast<char>(byte));
  for (const Merge& merge : merges) tokens.push_back(tokens[merge.left] + tokens[merge.right]);
  return tokens;
}

}  // namespace nanochat
