#include "tokenizer/bpe_encoder.h"

#include <algorithm>
#include <bit>
#include <functional>
#include <numeric>

#include "core/error.h"
#include "tokenizer/utf8.h"

namespace nanochat {
namespace {

constexpr size_t kSeenPieces = 4096;  // 256 KiB a thread: half of a small level-2 cache
static_assert(std::has_single_bit(kSeenPieces));

// Memory that a long piece has needed is kept for the next one up to this length in bytes.
constexpr size_t kKeepParts = 1 << 20;

// While a short piece is merged, the token that a part makes with the next one and the part's place
// are one number, so that the least of them is the leftmost merge of the lowest id.
constexpr int kPlaceBits = 8;
constexpr int32_t kNoMerge = kNoToken << kPlaceBits;

// The same for long pieces.
constexpr int kLongPlaceBits = 40;

uint8_t byte(char c) noexcept { return static_cast<uint8_t>(c); }
size_t byte_pair(const char* two) noexcept { return size_t{byte(two[0])} << 8 | byte(two[1]); }

}  // namespace

BpeEncoder::BpeEncoder(std::span<const std::string> tokens)
    : token_of_(tokens),
      span_filter_(tokens),
      pairs_(tokens.size()),
      byte_ids_(256, kNoToken),
      byte_pairs_(256 * 256, kNoToken) {
  for (size_t id = 0; id < tokens.size(); ++id) {
    if (tokens[id].size() == 1) byte_ids_[byte(tokens[id][0])] = static_cast<int32_t>(id);
  }
  learn_pairs(tokens);
  if (in_order_) learn_characters(tokens);
}

// See PairTable. Everything that can be merged on the way to a token is shorter than the token, so
// in the order of their lengths each token finds the pairs that its own encoding needs.
void BpeEncoder::learn_pairs(std::span<const std::string> tokens) {
  std::vector<size_t> by_size(tokens.size());
  std::iota(by_size.begin(), by_size.end(), size_t{0});
  std::ranges::stable_sort(by_size, {}, [&](size_t id) { return tokens[id].size(); });
  Scratch scratch;
  std::vector<int32_t> ids;
  for (const size_t id : by_size) {
    const std::string& token = tokens[id];
    if (token.size() < 2) continue;
    ids.clear();
    if (token.size() <= kMaxShort) {
      ids.resize(token.size());
      ids.resize(static_cast<size_t>(merge_short(token, ids.data())));
    } else {
      merge_long(token, scratch, ids);
    }
    if (ids.size() != 2) {
      never_made_.resize(tokens.size());
      never_made_[id] = true;
      continue;
    }
    pairs_.insert(ids[0], ids[1], static_cast<int32_t>(id));
    in_order_ = in_order_ && std::max(ids[0], ids[1]) < static_cast<int32_t>(id);
    if (token.size() == 2) {
      byte_pairs_[byte_pair(token.data())] = static_cast<int32_t>(id);
    }
  }
}

// Chinese has three bytes a character, and most characters are tokens. Merging may then start from
// characters, under two conditions.
//   - The tokens are in the order of merging, as in every vocabulary that was trained. Then a merge
//     that takes a character as one of its parts has a higher id than the character, so that making
//     the character first changes nothing.
//   - No token cut from within a character (ill-formed UTF-8 on its own) may span the place between
//     two characters. Any other that does so consists of whole characters, so nothing can take a
//     part of a character away before it is whole. cut_pairs_ has the two bytes at such places of
//     the tokens that are cut; there are few.
void BpeEncoder::learn_characters(std::span<const std::string> tokens) {
  character_ids_.resize(size_t{1} << 16, kNoToken);
  cut_pairs_.resize(size_t{1} << 16);
  for (size_t id = 0; id < tokens.size(); ++id) {
    const std::string& token = tokens[id];
    const utf8::Character first = utf8::decode(token, 0);
    if (first.valid && first.length == token.size() && first.code_point < character_ids_.size() &&
        is_made_by_merging(static_cast<int32_t>(id))) {
      character_ids_[first.code_point] = static_cast<int32_t>(id);
    }
    if (utf8::find_invalid(token) == token.size()) continue;
    for (size_t i = 1; i < token.size(); ++i) {
      if ((byte(token[i]) & 0xC0) != 0x80) cut_pairs_[byte_pair(token.data() + i - 1)] = true;
    }
  }
}

/// The tokens of the characters of `piece`; 0 when merging has to start from bytes.
int BpeEncoder::parts_of_characters(std::string_view piece, int32_t* parts) const noexcept {
  if (character_ids_.empty()) return 0;
  int n = 0;
  for (size_t i = 0; i < piece.size();) {
    const utf8::Character c = utf8::decode(piece, i);
    if (!c.valid || c.code_point >= character_ids_.size()) return 0;
    if (i > 0 && cut_pairs_[byte_pair(piece.data() + i - 1)]) return 0;
    parts[n] = character_ids_[c.code_point];
    if (parts[n] == kNoToken) return 0;
    ++n;
    i += c.length;
  }
  return n;
}

/// Up to kMaxShort bytes; `ids` has room for as many. Returns the number of ids.
int BpeEncoder::merge_short(std::string_view piece, int32_t* ids) const noexcept {
  constexpr int kStride = 8;  // whole vectors, whatever n is
  alignas(32) int32_t merges[kMaxShort];
  int32_t parts[kMaxShort];
  // Of English, bytes are characters.
  int n = byte(piece.back()) < 0x80 ? 0 : parts_of_characters(piece, parts);
  if (n > 0) {
    for (int i = 0; i + 1 < n; ++i) {
      merges[i] = pairs_.find(parts[i], parts[i + 1]) << kPlaceBits | i;
    }
  } else {
    n = static_cast<int>(piece.size());
    const char* const bytes = piece.data();
    for (int i = 0; i + 1 < n; ++i) {
      parts[i] = byte_ids_[byte(bytes[i])];
      merges[i] = byte_pairs_[byte_pair(bytes + i)] << kPlaceBits | i;
    }
    parts[n - 1] = byte_ids_[byte(bytes[n - 1])];
  }
  const int n_scanned = (n + kStride - 1) / kStride * kStride;
  for (int i = n - 1; i < n_scanned; ++i) merges[i] = kNoMerge;

  // Bit i: a part starts where the i-th of the n did.
  uint64_t starts = ~uint64_t{0} >> (kMaxShort - n);
  for (;;) {
    int32_t least[kStride];
    for (int k = 0; k < kStride; ++k) least[k] = merges[k];
    for (int i = kStride; i < n_scanned; i += kStride) {
      for (int k = 0; k < kStride; ++k) least[k] = std::min(least[k], merges[i + k]);
    }
    const int32_t best = *std::min_element(least, least + kStride);
    if (best >= kNoMerge) break;

    const int place = best & ((1 << kPlaceBits) - 1);
    const int32_t id = best >> kPlaceBits;
    const uint64_t behind = starts & ~uint64_t{1} << place;  // what starts after this part
    const uint64_t next = behind & -behind;
    const uint64_t after_next = behind ^ next;
    starts ^= next;
    parts[place] = id;
    merges[std::countr_zero(next)] = kNoMerge;
    merges[place] =
        after_next == 0
            ? kNoMerge
            : pairs_.find(id, parts[std::countr_zero(after_next)]) << kPlaceBits | place;
    const uint64_t before = starts & ((uint64_t{1} << place) - 1);
    if (before != 0) {
      const int previous = 63 - std::countl_zero(before);
      merges[previous] = pairs_.find(parts[previous], id) << kPlaceBits | previous;
    }
  }
  int n_ids = 0;
  for (; starts != 0; starts &= starts - 1) ids[n_ids++] = parts[std::countr_zero(starts)];
  return n_ids;
}

/// The same for any length, appended to `ids`.
void BpeEncoder::merge_long(std::string_view piece, Scratch& scratch,
                            std::vector<int32_t>& ids) const {
  if (piece.size() > static_cast<size_t>(INT32_MAX)) {
    throw DataError(
        "a stretch of {} bytes without a place to split it: at most 2^31 - 1 can be "
        "encoded, cut the text",
        piece.size());
  }
  const auto n = static_cast<int32_t>(piece.size());
  std::vector<Scratch::Part>& parts = scratch.parts;
  std::vector<uint64_t>& heap = scratch.heap;
  parts.resize(piece.size());
  heap.clear();

  // A merge that is possible, the next to be done at the top of the heap. When one of its parts has
  // changed it stays there; the part's `merged` then differs for good, because what stands behind a
  // part only ever grows.
  const auto offer = [&](int32_t place, int32_t merged) {
    parts[static_cast<size_t>(place)].merged = merged;
    if (merged == kNoToken) return false;
    heap.push_back(static_cast<uint64_t>(merged) << kLongPlaceBits | static_cast<uint64_t>(place));
    return true;
  };
  const auto push = [&](int32_t place, int32_t merged) {
    if (offer(place, merged)) std::ranges::push_heap(heap, std::greater<>{});
  };

  for (int32_t i = 0; i < n; ++i) {
    const auto k = static_cast<size_t>(i);
    parts[k] = {byte_ids_[byte(piece[k])], kNoToken, i - 1, i + 1};
    if (i + 1 < n) offer(i, byte_pairs_[byte_pair(piece.data() + k)]);
  }
  std::ranges::make_heap(heap, std::greater<>{});
  while (!heap.empty()) {
    std::ranges::pop_heap(heap, std::greater<>{});
    const auto merged = static_cast<int32_t>(heap.back() >> kLongPlaceBits);
    const auto place = static_cast<int32_t>(heap.back() & ((uint64_t{1} << kLongPlaceBits) - 1));
    heap.pop_back();
    Scratch::Part& part = parts[static_cast<size_t>(place)];
    if (part.merged != merged) continue;

    Scratch::Part& next = parts[static_cast<size_t>(part.next)];
    next.merged = kNoToken;
    part.id = merged;
    part.next = next.next;
    if (part.next < n) {
      Scratch::Part& after_next = parts[static_cast<size_t>(part.next)];
      after_next.previous = place;
      push(place, pairs_.find(merged, after_next.id));
    } else {
      part.merged = kNoToken;
    }
    if (part.previous >= 0) {
      push(part.previous, pairs_.find(parts[static_cast<size_t>(part.previous)].id, merged));
    }
  }
  for (int32_t i = 0; i < n; i = parts[static_cast<size_t>(i)].next) {
    ids.push_back(parts[static_cast<size_t>(i)].id);
  }
  if (parts.size() > kKeepParts) {
    parts = {};
    heap = {};
  }
}

BpeEncoder::Run::Run(const BpeEncoder& encoder, std::string_view text, Scratch& scratch,
                     std::vector<int32_t>& ids)
    : encoder_(encoder), text_end_(text.data() + text.size()), scratch_(scratch), ids_(ids) {
  if (scratch.seen.empty()) scratch.seen.resize(kSeenPieces);
}

void BpeEncoder::Run::encode_waiting() {
  for (int i = 0; i < n_waiting_; ++i) {
    const auto& [chunk, key, hash] = waiting_[i];
    if (n_buffered_ > kBuffer - kMaxShort) flush();
    if (chunk.size() > ShortKey::kMaxSize) {
      add_long(chunk);
      continue;
    }
    const int32_t id = encoder_.token_of_.find(key, hash);
    if (id != kNoToken) [[likely]] {
      buffer_[n_buffered_++] = id;
    } else {
      add_short(chunk, key, hash);
    }
  }
  n_waiting_ = 0;
}

void BpeEncoder::Run::flush() {
  ids_.insert(ids_.end(), buffer_, buffer_ + n_buffered_);
  n_buffered_ = 0;
}

void BpeEncoder::Run::add_short(std::string_view chunk, const ShortKey& key, uint64_t hash) {
  if (add_seen(key, hash)) return;
  if (encoder_.span_filter_.borders(chunk, 0) == 0) {
    merge_and_remember(chunk, key, hash);
  } else {
    add_pieces(chunk);
  }
}

void BpeEncoder::Run::add_long(std::string_view chunk) {
  const int32_t id = encoder_.token_of_.find_long(chunk);
  if (id != kNoToken) {
    buffer_[n_buffered_++] = id;
  } else {
    add_pieces(chunk);
  }
}

void BpeEncoder::Run::add_pieces(std::string_view chunk) {
  size_t begin = 0;
  for (size_t from = 0; from < chunk.size(); from += 64) {
    uint64_t borders = encoder_.span_filter_.borders(chunk, from);
    for (; borders != 0; borders &= borders - 1) {
      const size_t end = from + static_cast<size_t>(std::countr_zero(borders));
      add_piece(chunk.substr(begin, end - begin));
      begin = end;
    }
  }
  add_piece(chunk.substr(begin));
}

void BpeEncoder::Run::add_piece(std::string_view piece) {
  if (n_buffered_ > kBuffer - kMaxShort) flush();
  int32_t id = kNoToken;
  if (piece.size() <= ShortKey::kMaxSize) {
    const auto readable = static_cast<size_t>(text_end_ - piece.data());
    const ShortKey key = ShortKey::load(piece.data(), piece.size(), readable);
    const uint64_t hash = key.hash();
    id = encoder_.token_of_.find(key, hash);
    if (id == kNoToken || !encoder_.is_made_by_merging(id)) {
      if (!add_seen(key, hash)) merge_and_remember(piece, key, hash);
      return;
    }
  } else {
    id = encoder_.token_of_.find_long(piece);
    if (id == kNoToken || !encoder_.is_made_by_merging(id)) {
      if (piece.size() <= kMaxShort) {
        n_buffered_ += encoder_.merge_short(piece, buffer_ + n_buffered_);
      } else {
        flush();
        encoder_.merge_long(piece, scratch_, ids_);
      }
      return;
    }
  }
  buffer_[n_buffered_++] = id;
}

bool BpeEncoder::Run::add_seen(const ShortKey& key, uint64_t hash) noexcept {
  const Scratch::SeenPiece& seen = scratch_.seen[hash & (kSeenPieces - 1)];
  if (!(seen.key == key)) return false;
  std::copy(seen.ids, seen.ids + Scratch::SeenPiece::kMaxIds, buffer_ + n_buffered_);
  n_buffered_ += static_cast<int>(seen.n_ids);
  return true;
}

void BpeEncoder::Run::merge_and_remember(std::string_view piece, const ShortKey& key,
                                         uint64_t hash) {
  int32_t* const ids = buffer_ + n_buffered_;
  const int n_ids = encoder_.merge_short(piece, ids);
  n_buffered_ += n_ids;
  if (n_ids > static_cast<int>(Scratch::SeenPiece::kMaxIds)) return;
  Scratch::SeenPiece& seen = scratch_.seen[hash & (kSeenPieces - 1)];
  seen.key = key;
  seen.n_ids = static_cast<uint32_t>(n_ids);
  std::copy(ids, ids + n_ids, seen.ids);
}

}  // namespace nanochat
