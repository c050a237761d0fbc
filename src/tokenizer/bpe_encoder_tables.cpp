#include "tokenizer/bpe_encoder_tables.h"

#include <algorithm>
#include <bit>
#include <functional>

namespace nanochat {
namespace {

// At most half of the slots are taken, so that a search for what is not there ends soon.
size_t slots_for(size_t n) { return std::bit_ceil(std::max<size_t>(2 * n, 2)); }

uint64_t hash_of(std::string_view bytes) noexcept { return std::hash<std::string_view>{}(bytes); }

uint64_t bit(const std::vector<uint64_t>& bits, size_t i) noexcept {
  return bits[i / 64] >> (i % 64) & 1;
}
void set_bit(std::vector<uint64_t>& bits, size_t i) noexcept {
  bits[i / 64] |= uint64_t{1} << (i % 64);
}

}  // namespace

TokenTable::TokenTable(std::span<const std::string> tokens) : tokens_(tokens) {
  size_t n_long = 0;
  for (const std::string& token : tokens) {
    longest_ = std::max(longest_, token.size());
    n_long += token.size() > ShortKey::kMaxSize ? 1 : 0;
  }
  short_slots_.resize(slots_for(tokens.size() - n_long));
  short_mask_ = short_slots_.size() - 1;
  long_slots_.resize(slots_for(n_long), kNoToken);
  long_mask_ = long_slots_.size() - 1;

  for (size_t id = 0; id < tokens.size(); ++id) {
    const std::string& token = tokens[id];
    if (token.size() <= ShortKey::kMaxSize) {
      const ShortKey key = ShortKey::load(token.data(), token.size(), token.size());
      uint64_t i = key.hash() & short_mask_;
      while (short_slots_[i].size != 0) i = (i + 1) & short_mask_;
      short_slots_[i] = {key.low, key.high, key.size, static_cast<int32_t>(id)};
    } else {
      uint64_t i = hash_of(token) & long_mask_;
      while (long_slots_[i] != kNoToken) i = (i + 1) & long_mask_;
      long_slots_[i] = static_cast<int32_t>(id);
    }
  }
}

int32_t TokenTable::find_long(std::string_view bytes) const noexcept {
  if (bytes.size() > longest_) return kNoToken;
  for (uint64_t i = hash_of(bytes) & long_mask_;; i = (i + 1) & long_mask_) {
    const int32_t id = long_slots_[i];
    if (id == kNoToken || tokens_[static_cast<size_t>(id)] == bytes) return id;
  }
}

SpanFilter::SpanFilter(std::span<const std::string> tokens) : pairs_((1 << 16) / 64) {
  size_t n_windows = 0;
  for (const std::string& token : tokens) {
    n_windows += token.size() - std::min<size_t>(token.size(), 3);
  }
  // Eight bits a window; many are the same, so that about one in twenty others seems to be one.
  const int bits = std::clamp(static_cast<int>(std::bit_width(8 * n_windows)), 6, 26);
  window_shift_ = 32 - bits;
  windows_.resize((size_t{1} << bits) / 64);
  for (const std::string& token : tokens) {
    for (size_t i = 1; i < token.size(); ++i) {
      if (i >= 2 && i + 2 <= token.size()) {
        set_bit(windows_, window_bit(token.data() + i - 2));
      } else {
        set_bit(pairs_, pair_bit(token.data() + i - 1));
      }
    }
  }
}

uint64_t SpanFilter::borders(std::string_view chunk, size_t from) const noexcept {
  const size_t end = std::min(from + 64, chunk.size());
  uint64_t spanned = 0;
  for (size_t i = std::max<size_t>(from, 1); i < end; ++i) {
    spanned |= bit(pairs_, pair_bit(chunk.data() + i - 1)) << (i - from);
  }
  for (size_t i = std::max<size_t>(from, 2); i < end && i + 2 <= chunk.size(); ++i) {
    spanned |= bit(windows_, window_bit(chunk.data() + i - 2)) << (i - from);
  }
  const uint64_t places = (~uint64_t{0} >> (64 - (end - from))) & ~uint64_t{from == 0};
  return places & ~spanned;
}

PairTable::PairTable(size_t n_tokens) : slots_(slots_for(n_tokens), kFree) {
  mask_ = slots_.size() - 1;
  shift_ = 64 - std::countr_zero(slots_.size());
}

void PairTable::insert(int32_t left, int32_t right, int32_t id) noexcept {
  const uint64_t key = pair_key(left, right);
  uint64_t i = slot_of(key);
  while (slots_[i] != kFree) i = (i + 1) & mask_;
  slots_[i] = static_cast<uint64_t>(id) << kKeyBits | key;
}

}  // namespace nanochat
