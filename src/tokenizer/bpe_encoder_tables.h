/// The two look-ups of byte-pair encoding: which token are these bytes, and which token do these
/// two tokens make.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace nanochat {

/// No token: what the look-ups below answer for an ordinary "no". Ids have 21 bits
/// (Vocabulary::kMaxTokens), so it is more than any id and one more byte fits beside it in an
/// int32_t.
inline constexpr int32_t kNoToken = (1 << 22) - 1;

namespace internal {
/// Row n keeps the first n of 16 bytes that were loaded as two (little-endian) words.
inline constexpr auto kShortKeyMasks = [] {
  std::array<std::array<uint64_t, 2>, 17> masks{};
  for (size_t n = 0; n < masks.size(); ++n) {
    for (size_t i = 0; i < n; ++i) masks[n][i / 8] |= uint64_t{0xFF} << (i % 8 * 8);
  }
  return masks;
}();
}  // namespace internal

/// Up to 16 bytes as two words, filled up with zeros: compared and hashed without a loop.
struct ShortKey {
  static constexpr size_t kMaxSize = 16;
  uint64_t low = 0;
  uint64_t high = 0;
  uint32_t size = 0;

  friend bool operator==(const ShortKey& a, const ShortKey& b) noexcept {
    return ((a.low ^ b.low) | (a.high ^ b.high) | (a.size ^ b.size)) == 0;
  }

  /// `bytes` must be followed by `readable - size` more bytes that may be read.
  static ShortKey load(const char* bytes, size_t size, size_t readable) noexcept {
    ShortKey key;
    key.size = static_cast<uint32_t>(size);
    if (readable >= kMaxSize) [[likely]] {
      std::memcpy(&key.low, bytes, 8);
      std::memcpy(&key.high, bytes + 8, 8);
      key.low &= internal::kShortKeyMasks[size][0];
      key.high &= internal::kShortKeyMasks[size][1];
    } else {
      uint64_t words[2] = {0, 0};
      std::memcpy(words, bytes, size);
      key.low = words[0];
      key.high = words[1];
    }
    return key;
  }

  [[nodiscard]] uint64_t hash() const noexcept {
    // One wide product mixes both words, its two halves together depend on every bit. The constants
    // (odd, otherwise arbitrary) keep zero words from making it zero.
    __extension__ using Wide = unsigned __int128;
    const Wide product =
        Wide{low ^ 0x9E3779B97F4A7C15ULL} * (high ^ 0xD6E8FEB86659FD93ULL ^ (uint64_t{size} << 56));
    return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
  }
};

/// Bytes to id, by open addressing.
class TokenTable {
 public:
  /// Keeps views of `tokens`, which must stay where they are.
  explicit TokenTable(std::span<const std::string> tokens);

  /// The id of a token of at most ShortKey::kMaxSize bytes, or kNoToken.
  [[nodiscard]] int32_t find(const ShortKey& key, uint64_t hash) const noexcept {
    for (uint64_t i = hash & short_mask_;; i = (i + 1) & short_mask_) {
      const ShortSlot& slot = short_slots_[i];
      // One branch for both ends of the search: which one it is, nobody can predict.
      const uint64_t differs =
          (slot.low ^ key.low) | (slot.high ^ key.high) | (slot.size ^ key.size);
      if (static_cast<int>(differs == 0) | static_cast<int>(slot.size == 0)) return slot.id;
    }
  }
  void prefetch(uint64_t hash) const noexcept {
    __builtin_prefetch(&short_slots_[hash & short_mask_]);
  }
  /// The same for longer ones.
  [[nodiscard]] int32_t find_long(std::string_view bytes) const noexcept;

 private:
  struct ShortSlot {  // 24 bytes; with a ShortKey inside it would be 32
    uint64_t low = 0;
    uint64_t high = 0;
    uint32_t size = 0;  // 0: free
    int32_t id = kNoToken;
  };
  std::vector<ShortSlot> short_slots_;  // a power of two, at most half of them taken
  uint64_t short_mask_ = 0;
  std::span<const std::string> tokens_;
  std::vector<int32_t> long_slots_;  // ids or kNoToken, likewise
  uint64_t long_mask_ = 0;
  size_t longest_ = 0;
};

/// Which places within a chunk no token spans: there the chunk falls into pieces that are merged on
/// their own, because a merge across would make a token that spans the place. Most chunks of
/// Chinese fall into words of one or two characters, which are tokens.
///
/// A token that spans a place has at least two bytes on both sides of it, then these four bytes are
/// in a set; or one byte on one side, then the two bytes at the place are in another. The sets say
/// yes too often (the first is hashed to bits), which costs time and changes no id.
class SpanFilter {
 public:
  explicit SpanFilter(std::span<const std::string> tokens);

  /// Bit k: no token spans the place before byte from + k of the chunk, for the places of
  /// [max(from, 1), min(from + 64, chunk.size())).
  [[nodiscard]] uint64_t borders(std::string_view chunk, size_t from) const noexcept;

 private:
  [[nodiscard]] size_t window_bit(const char* four) const noexcept {
    uint32_t bytes;
    std::memcpy(&bytes, four, sizeof(bytes));
    return (bytes * uint32_t{0x9E3779B1}) >> window_shift_;
  }
  static size_t pair_bit(const char* two) noexcept {
    uint16_t bytes;
    std::memcpy(&bytes, two, sizeof(bytes));
    return bytes;
  }

  std::vector<uint64_t> pairs_;    // a bit for each of 2^16
  std::vector<uint64_t> windows_;  // a bit for each of 2^(32 - window_shift_)
  int window_shift_ = 0;
};

/// (left id, right id) to the id of the token that they make, by open addressing.
///
/// tiktoken merges two neighbours when their bytes together are a token. A table of pairs of ids
/// says the same with one entry a token, whatever the ranks: when left and right stand side by
/// side, no merge has crossed their outer borders, so encoding left + right on its own goes through
/// this very state. Encoding is deterministic, therefore only the last two parts on the way to a
/// token ever meet, and a token whose own encoding gets stuck before is never made by merging (but
/// still is the id of a chunk that equals it).
class PairTable {
 public:
  explicit PairTable(size_t n_tokens);

  void insert(int32_t left, int32_t right, int32_t id) noexcept;

  [[nodiscard]] int32_t find(int32_t left, int32_t right) const noexcept {
    const uint64_t key = pair_key(left, right);
    for (uint64_t i = slot_of(key);; i = (i + 1) & mask_) {
      const uint64_t slot = slots_[i];
      // A free slot says kNoToken itself: one branch that is nearly always taken at once.
      if (static_cast<int>((slot & kKeyMask) == key) | static_cast<int>(slot == kFree)) {
        return static_cast<int32_t>(slot >> kKeyBits);
      }
    }
  }

 private:
  static constexpr int kIdBits = 21;
  static constexpr int kKeyBits = 2 * kIdBits;
  static constexpr uint64_t kKeyMask = (uint64_t{1} << kKeyBits) - 1;
  // No entry has bit 63; above the key stands kNoToken.
  static constexpr uint64_t kFree = ~uint64_t{0};
  static_assert(kFree >> kKeyBits == kNoToken);

  static uint64_t pair_key(int32_t left, int32_t right) noexcept {
    return static_cast<uint64_t>(left) << kIdBits | static_cast<uint64_t>(right);
  }
  [[nodiscard]] uint64_t slot_of(uint64_t key) const noexcept {
    return key * 0x9E3779B97F4A7C15ULL >> shift_;
  }

  std::vector<uint64_t> slots_;  // id, left, right: 21 bits each
  uint64_t mask_ = 0;
  int shift_ = 0;
};

}  // namespace nanochat
