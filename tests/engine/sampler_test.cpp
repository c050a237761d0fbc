#include "engine/sampler.h"

#include <array>
#include <cmath>
#include <map>

#include <gtest/gtest.h>

namespace nanochat {
namespace {

constexpr std::array<float, 5> kLogits{0.5F, 2.0F, -1.0F, 2.0F, 1.0F};
const RandomStream kRandom(7, RandomPurpose::kTest);

std::map<int32_t, double> frequencies(const SamplingOptions& options) {
  constexpr int kDraws = 20000;
  std::map<int32_t, double> share;
  for (int i = 0; i < kDraws; ++i) {
    share[sample_next_token(kLogits, options, kRandom, i)] += 1.0 / kDraws;
  }
  return share;
}

TEST(SampleNextToken, AtTemperatureZeroIsTheFirstOfTheMostLikely) {
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(sample_next_token(kLogits, {.temperature = 0}, kRandom, i), 1);
  }
}

TEST(SampleNextToken, FollowsTheSoftmax) {
  for (const double temperature : {0.5, 1.0, 3.0}) {
    double sum = 0;
    for (const float x : kLogits) sum += std::exp(static_cast<double>(x) / temperature);
    const auto share = frequencies({.temperature = temperature});
    for (int32_t id = 0; id < 5; ++id) {
      const double p =
          std::exp(static_cast<double>(kLogits[static_cast<size_t>(id)]) / temperature) / sum;
      // Five standard deviations of a share of 20000 draws.
      EXPECT_NEAR(share.contains(id) ? share.at(id) : 0, p, 5 * std::sqrt(p * (1 - p) / 20000));
    }
  }
}

TEST(SampleNextToken, TopKLeavesOutTheRestAndKeepsTies) {
  EXPECT_EQ(frequencies({.temperature = 1, .top_k = 1}).size(), 2);  // 1 and 3 are equally likely
  const auto three = frequencies({.temperature = 1, .top_k = 3});
  EXPECT_EQ(three.size(), 3);
  EXPECT_TRUE(three.contains(1) && three.contains(3) && three.contains(4));
  EXPECT_EQ(frequencies({.temperature = 1, .top_k = 5}).size(), 5);
  EXPECT_EQ(frequencies({.temperature = 1, .top_k = 99}).size(), 5);
}

TEST(SampleNextToken, IsAFunctionOfItsPlaceInTheStream) {
  for (int64_t i : {0, 1, 17, 1000}) {
    EXPECT_EQ(sample_next_token(kLogits, {.temperature = 1}, kRandom, i),
              sample_next_token(kLogits, {.temperature = 1}, kRandom, i));
  }
}

}  // namespace
}  // namespace nanochat
