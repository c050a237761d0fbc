/// Counter-based random numbers: Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as
/// easy as 1, 2, 3"). A number is a function of where it is used, not of what was drawn before, so
/// there is no hidden state to save, order and thread count do not matter, and a GPU draws the
/// same.
#pragma once

#include <array>
#include <cstdint>

#include "core/tensor.h"

namespace nanochat {

/// What a stream is for. Values are part of saved runs: append, never renumber.
enum class RandomPurpose : uint16_t {
  kInit = 1,
  kSample = 2,
  kData = 3,
  kTest = 4,
  kSynthetic = 5,
  kRollout = 6
};

/// The ten rounds. key = 64 bits of seed, counter = 128 bits of position.
[[nodiscard]] std::array<uint32_t, 4> philox4x32(std::array<uint32_t, 4> counter,
                                                 std::array<uint32_t, 2> key) noexcept;

/// One stream of numbers, indexed by 0, 1, 2, ...; key = seed, counter = (index low, index high and
/// purpose, step, item), where `item` tells apart tensors, ranks or requests of one purpose.
class RandomStream {
 public:
  RandomStream(uint64_t seed, RandomPurpose purpose, uint32_t step = 0, uint32_t item = 0) noexcept
      : seed_(seed), purpose_(purpose), step_(step), item_(item) {}

  /// Words 4 i .. 4 i + 3 of bits(), one call of Philox. i < 2^48.
  [[nodiscard]] std::array<uint32_t, 4> block(int64_t i) const noexcept;
  /// 32 random bits. index < 2^50.
  [[nodiscard]] uint32_t bits(int64_t index) const noexcept;
  /// Uniform in [0, 1), 24 bits.
  [[nodiscard]] float uniform(int64_t index) const noexcept;
  /// Standard normal (Box-Muller on the pair 2 * (index / 2), + 1).
  [[nodiscard]] float normal(int64_t index) const noexcept;

 private:
  uint64_t seed_;
  RandomPurpose purpose_;
  uint32_t step_, item_;
};

/// Element i becomes mean + std * stream.normal(i). x: host, f64, f32 or bf16.
void fill_normal(Tensor& x, const RandomStream& stream, float mean, float std) noexcept;
/// Element i becomes low + (high - low) * stream.uniform(i).
void fill_uniform(Tensor& x, const RandomStream& stream, float low, float high) noexcept;

}  // namespace nanochat
