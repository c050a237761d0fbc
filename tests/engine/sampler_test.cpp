#include "engine/sampler.h"

#include <array>
#include <cmath>
#include <map>

#include <gtest/gtest.h>

#include "core/error.h"

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

TEST(SampleNextToken, TopPKeepsTheFewestThatAreLikelyEnough) {
  // Shares at temperature 1: 1 and 3 have 0.389 each, 4 has 0.143, 0 has 0.087, 2 has 0.019.
  EXPECT_EQ(frequencies({.top_p = 0.3}).size(), 1);
  EXPECT_TRUE(frequencies({.top_p = 0.3}).contains(1));  // of equals the lower id
  EXPECT_EQ(frequencies({.top_p = 0.5}).size(), 2);
  EXPECT_EQ(frequencies({.top_p = 0.78}).size(), 3);
  EXPECT_EQ(frequencies({.top_p = 0.95}).size(), 4);
  EXPECT_EQ(frequencies({.top_p = 1}).size(), 5);
  const auto three = frequencies({.top_p = 0.78});
  EXPECT_NEAR(three.at(4), 0.143 / 0.921, 0.02);
  EXPECT_EQ(frequencies({.temperature = 10, .top_p = 0.5}).size(), 3);  // after the temperature
}

TEST(SampleNextToken, MinPDropsWhatIsFarLessLikelyThanTheBest) {
  // Relative to the best: 1, 1, e^-1 = 0.37, e^-1.5 = 0.22, e^-3 = 0.05.
  EXPECT_EQ(frequencies({.min_p = 0.04}).size(), 5);
  EXPECT_EQ(frequencies({.min_p = 0.1}).size(), 4);
  EXPECT_EQ(frequencies({.min_p = 0.3}).size(), 3);
  EXPECT_EQ(frequencies({.min_p = 1}).size(), 2);
}

TEST(SampleNextToken, ThePenaltyIsForWhatIsThereAlready) {
  const std::array<int32_t, 3> past{1, 1, 2};
  const auto draw = [&](double penalty) {
    return sample_next_token(kLogits, {.temperature = 0, .repetition_penalty = penalty}, kRandom, 0,
                             past);
  };
  EXPECT_EQ(draw(1), 1);
  EXPECT_EQ(draw(1.01), 3);  // 2 / 1.01 < 2, once however often it was there
  const std::array<float, 2> negative{-1.0F, -1.5F};
  const std::array<int32_t, 1> first{0};
  EXPECT_EQ(
      sample_next_token(negative, {.temperature = 0, .repetition_penalty = 2}, kRandom, 0, first),
      1);  // -2 < -1.5
}

TEST(SampleNextToken, OptionsOutOfRangeAndBrokenLogitsAreErrors) {
  for (const SamplingOptions& o : {SamplingOptions{.temperature = -1},
                                   {.temperature = NAN},
                                   {.top_k = -1},
                                   {.top_p = 0},
                                   {.top_p = 1.1},
                                   {.min_p = -0.1},
                                   {.min_p = 2},
                                   {.repetition_penalty = 0}}) {
    EXPECT_THROW(o.validate(), UsageError);
  }
  EXPECT_NO_THROW(SamplingOptions{}.validate());
  const std::array<float, 2> broken{NAN, NAN};
  EXPECT_THROW(static_cast<void>(sample_next_token(broken, {}, kRandom, 0)), NumericError);
}

TEST(Logprobs, AreThoseOfTheSoftmax) {
  double sum = 0;
  for (const float x : kLogits) sum += std::exp(static_cast<double>(x));
  for (int32_t id = 0; id < 5; ++id) {
    EXPECT_NEAR(logprob_of(kLogits, id), kLogits[static_cast<size_t>(id)] - std::log(sum), 1e-6);
  }
  const std::vector<TokenLogprob> top = top_logprobs(kLogits, 3);
  ASSERT_EQ(top.size(), 3);
  EXPECT_EQ(top[0].id, 1);
  EXPECT_EQ(top[1].id, 3);
  EXPECT_EQ(top[2].id, 4);
  EXPECT_EQ(top[2].logprob, logprob_of(kLogits, 4));
  EXPECT_TRUE(top_logprobs(kLogits, 0).empty());
}

}  // namespace
}  // namespace nanochat
