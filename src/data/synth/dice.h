/// Random choices that come out the same on every machine.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <utility>

#include "core/rng.h"

namespace nanochat::synth {

/// What the draws are for: each part of the world has streams of its own, so that one part can
/// change without the others. Values are part of what a seed means: append, never renumber.
enum class Part : uint32_t {
  kWorld = 1,
  kDocument,
  kConversation,
  kQuestions,
  kHeldOut,
  kShuffle,
  kTasks,  // examples of the chat tasks
};

/// A stream of draws, one after another. It is a function of (seed, part, item): item is the number
/// of the document, say, so documents may be made in any order and on any thread.
class Dice {
 public:
  Dice(uint64_t seed, Part part, int64_t item) noexcept
      : stream_(seed, RandomPurpose::kSynthetic,
                static_cast<uint32_t>(part) | static_cast<uint32_t>(item >> 32 << 8),
                static_cast<uint32_t>(item)) {}

  /// 32 random bits.
  [[nodiscard]] uint32_t bits() noexcept {
    if (used_ == 4) {
      block_ = stream_.block(next_block_++);
      used_ = 0;
    }
    return block_[used_++];
  }
  /// From [0, n), n > 0. Off from uniform by at most n / 2^32.
  [[nodiscard]] int64_t below(int64_t n) noexcept {
    return static_cast<int64_t>(static_cast<uint64_t>(bits()) * static_cast<uint64_t>(n) >> 32);
  }
  /// From [low, high].
  [[nodiscard]] int64_t between(int64_t low, int64_t high) noexcept {
    return low + below(high - low + 1);
  }
  [[nodiscard]] bool chance(int percent) noexcept { return below(100) < percent; }

  template <typename Items>
  [[nodiscard]] const auto& pick(const Items& items) noexcept {
    return items[static_cast<size_t>(below(static_cast<int64_t>(std::size(items))))];
  }
  /// Fisher-Yates.
  template <typename Items>
  void shuffle(Items& items) noexcept {
    for (size_t i = std::size(items); i > 1; --i) {
      std::swap(items[i - 1], items[static_cast<size_t>(below(static_cast<int64_t>(i)))]);
    }
  }

 private:
  RandomStream stream_;
  std::array<uint32_t, 4> block_{};
  int64_t next_block_ = 0;
  size_t used_ = 4;
};

}  // namespace nanochat::synth
