#include "core/rng.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <type_traits>

#include "core/parallel.h"

namespace nanochat {
namespace {

constexpr int64_t kWordsPerBlock = 4;
// Elements per grain of a fill: whole blocks, and a few microseconds of work.
constexpr int64_t kFillGrain = 1024;

float to_uniform(uint32_t bits) noexcept { return static_cast<float>(bits >> 8) * 0x1p-24F; }

struct NormalPair {
  float even, odd;
};

/// Box & Muller 1958: radius sqrt(-2 ln u), angle 2 pi v. u is in (0, 1] and keeps 32 bits, so the
/// tails reach 6.7 standard deviations.
NormalPair to_normal_pair(uint32_t a, uint32_t b) noexcept {
  const float u = static_cast<float>(a) * 0x1p-32F + 0x1p-33F;
  const float radius = std::sqrt(-2.0F * std::log(u));
  const float angle = 2 * std::numbers::pi_v<float> * to_uniform(b);
  return {radius * std::cos(angle), radius * std::sin(angle)};
}

/// x[i] = offset + scale * draw(block i / 4)[i % 4]: the same numbers as one by one, at one Philox
/// call for four.
template <typename Draw>
void fill(Tensor& x, const RandomStream& stream, float offset, float scale, Draw&& draw) noexcept {
  dispatch_float(x.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    using Wide = std::conditional_t<std::is_same_v<T, double>, double, float>;
    T* out = x.data<T>();
    parallel_for(x.numel(), kFillGrain, [=, &stream, &draw](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; i += kWordsPerBlock) {
        const std::array<float, 4> values = draw(stream.block(i / kWordsPerBlock));
        for (int64_t j = i; j < std::min(i + kWordsPerBlock, end); ++j) {
          const Wide value = static_cast<Wide>(values[static_cast<size_t>(j - i)]);
          out[j] = static_cast<T>(static_cast<Wide>(offset) + static_cast<Wide>(scale) * value);
        }
      }
    });
  });
}

}  // namespace

std::array<uint32_t, 4> philox4x32(std::array<uint32_t, 4> counter,
                                   std::array<uint32_t, 2> key) noexcept {
  constexpr uint64_t kMultiplier0 = 0xD2511F53, kMultiplier1 = 0xCD9E8D57;
  constexpr uint32_t kWeyl0 = 0x9E3779B9, kWeyl1 = 0xBB67AE85;  // golden ratio, sqrt(3) - 1
  for (int round = 0; round < 10; ++round) {
    const uint64_t product0 = kMultiplier0 * counter[0];
    const uint64_t product1 = kMultiplier1 * counter[2];
    counter = {static_cast<uint32_t>(product1 >> 32) ^ counter[1] ^ key[0],
               static_cast<uint32_t>(product1),
               static_cast<uint32_t>(product0 >> 32) ^ counter[3] ^ key[1],
               static_cast<uint32_t>(product0)};
    key[0] += kWeyl0;
    key[1] += kWeyl1;
  }
  return counter;
}

std::array<uint32_t, 4> RandomStream::block(int64_t i) const noexcept {
  const auto index = static_cast<uint64_t>(i);
  const auto high = static_cast<uint32_t>(index >> 32) | static_cast<uint32_t>(purpose_) << 16;
  return philox4x32({static_cast<uint32_t>(index), high, step_, item_},
                    {static_cast<uint32_t>(seed_), static_cast<uint32_t>(seed_ >> 32)});
}

uint32_t RandomStream::bits(int64_t index) const noexcept {
  return block(index / kWordsPerBlock)[static_cast<size_t>(index % kWordsPerBlock)];
}

float RandomStream::uniform(int64_t index) const noexcept { return to_uniform(bits(index)); }

float RandomStream::normal(int64_t index) const noexcept {
  const auto words = block(index / kWordsPerBlock);
  const size_t first = static_cast<size_t>(index % kWordsPerBlock) & ~size_t{1};
  const NormalPair pair = to_normal_pair(words[first], words[first + 1]);
  return index % 2 == 0 ? pair.even : pair.odd;
}

void fill_normal(Tensor& x, const RandomStream& stream, float mean, float std) noexcept {
  fill(x, stream, mean, std, [](const std::array<uint32_t, 4>& words) {
    const NormalPair a = to_normal_pair(words[0], words[1]);
    const NormalPair b = to_normal_pair(words[2], words[3]);
    return std::array<float, 4>{a.even, a.odd, b.even, b.odd};
  });
}

void fill_uniform(Tensor& x, const RandomStream& stream, float low, float high) noexcept {
  fill(x, stream, low, high - low, [](const std::array<uint32_t, 4>& words) {
    return std::array<float, 4>{to_uniform(words[0]), to_uniform(words[1]), to_uniform(words[2]),
                                to_uniform(words[3])};
  });
}

}  // namespace nanochat
