#include "core/rng.h"

#include <cmath>
#include <vector>

#include <gtest/gtest.h>

#include "core/parallel.h"

namespace nanochat {
namespace {

using Words = std::array<uint32_t, 4>;

TEST(Philox, GivesTheKnownAnswersOfRandom123) {
  EXPECT_EQ(philox4x32({0, 0, 0, 0}, {0, 0}),
            (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  constexpr uint32_t kOnes = 0xffffffff;
  EXPECT_EQ(philox4x32({kOnes, kOnes, kOnes, kOnes}, {kOnes, kOnes}),
            (Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

// Saved runs depend on this layout.
TEST(RandomStream, PutsIndexPurposeStepAndItemIntoTheCounter) {
  const RandomStream stream(0x1122334455667788, RandomPurpose::kData, 7, 9);
  const int64_t block = (int64_t{0xabcd} << 32) | 0x12345678;
  const Words words = philox4x32({0x12345678, 0x0003abcd, 7, 9}, {0x55667788, 0x11223344});
  EXPECT_EQ(stream.block(block), words);
  for (int i = 0; i < 4; ++i) EXPECT_EQ(stream.bits(4 * block + i), words[static_cast<size_t>(i)]);
}

TEST(RandomStream, DiffersWhenSeedPurposeStepOrItemDiffer) {
  const RandomStream base(1, RandomPurpose::kInit, 2, 3);
  const RandomStream others[] = {RandomStream(2, RandomPurpose::kInit, 2, 3),
                                 RandomStream(uint64_t{1} << 32 | 1, RandomPurpose::kInit, 2, 3),
                                 RandomStream(1, RandomPurpose::kSample, 2, 3),
                                 RandomStream(1, RandomPurpose::kInit, 3, 3),
                                 RandomStream(1, RandomPurpose::kInit, 2, 4)};
  for (const RandomStream& other : others) EXPECT_NE(base.block(0), other.block(0));
}

struct Moments {
  double mean = 0, variance = 0, skewness = 0, kurtosis = 0, min = 0, max = 0;
};

Moments moments_of(const Tensor& x) {
  Moments m;
  const auto n = static_cast<double>(x.numel());
  for (const float v : x.span<float>()) m.mean += v / n;
  m.min = m.max = x.data<float>()[0];
  for (const float v : x.span<float>()) {
    const double d = v - m.mean;
    m.variance += d * d / n;
    m.skewness += d * d * d / n;
    m.kurtosis += d * d * d * d / n;
    m.min = std::min<double>(m.min, v);
    m.max = std::max<double>(m.max, v);
  }
  m.skewness /= std::pow(m.variance, 1.5);
  m.kurtosis /= m.variance * m.variance;
  return m;
}

constexpr int64_t kSamples = 1'000'000;
// Five standard errors of each estimate; the seeds are fixed, so this passes always or never.
const double kError = 5 / std::sqrt(static_cast<double>(kSamples));

TEST(FillNormal, HasTheMomentsOfTheNormalDistribution) {
  Tensor x({kSamples}, DType::kF32);
  fill_normal(x, RandomStream(42, RandomPurpose::kTest), 3, 2);
  const Moments m = moments_of(x);
  EXPECT_NEAR(m.mean, 3, 2 * kError);
  EXPECT_NEAR(m.variance, 4, 4 * std::sqrt(2) * kError);
  EXPECT_NEAR(m.skewness, 0, std::sqrt(6) * kError);
  EXPECT_NEAR(m.kurtosis, 3, std::sqrt(24) * kError);
  // Among a million, the largest of |x - mean| / std is near 4.9.
  EXPECT_GT(m.max, 3 + 2 * 4.2);
  EXPECT_LT(m.max, 3 + 2 * 6.7);
  EXPECT_LT(m.min, 3 - 2 * 4.2);
  double neighbours = 0;  // the two of one Box-Muller pair, and of neighbouring pairs
  const float* p = x.data<float>();
  for (int64_t i = 0; i + 1 < kSamples; ++i) neighbours += (p[i] - 3) * (p[i + 1] - 3) / 4;
  EXPECT_NEAR(neighbours / kSamples, 0, kError);
}

TEST(FillUniform, HasTheMomentsOfTheUniformDistribution) {
  Tensor x({kSamples}, DType::kF32);
  fill_uniform(x, RandomStream(43, RandomPurpose::kTest), -1, 3);
  const Moments m = moments_of(x);
  EXPECT_NEAR(m.mean, 1, 4 / std::sqrt(12) * kError);
  EXPECT_NEAR(m.variance, 16.0 / 12, 16 / std::sqrt(180) * kError);
  EXPECT_NEAR(m.skewness, 0, 0.02);
  EXPECT_NEAR(m.kurtosis, 1.8, 0.02);
  EXPECT_GE(m.min, -1);
  EXPECT_LT(m.min, -0.9999);
  EXPECT_LT(m.max, 3);
  EXPECT_GT(m.max, 2.9999);
}

TEST(RandomStream, UniformIsNeverOne) {
  const RandomStream stream(1, RandomPurpose::kTest);
  bool above = false;
  for (int64_t i = 0; i < 100'000; ++i) {
    ASSERT_GE(stream.uniform(i), 0.0F);
    ASSERT_LT(stream.uniform(i), 1.0F);
    above = above || stream.uniform(i) > 0.9999F;
  }
  EXPECT_TRUE(above);
}

class FillTest : public ::testing::TestWithParam<DType> {};
INSTANTIATE_TEST_SUITE_P(DTypes, FillTest,
                         ::testing::Values(DType::kF64, DType::kF32, DType::kBf16));

template <typename T>
void expect_elementwise(const Tensor& normal, const Tensor& uniform, const RandomStream& stream) {
  using Wide = std::conditional_t<std::is_same_v<T, double>, double, float>;
  for (int64_t i = 0; i < normal.numel(); ++i) {
    const auto n = static_cast<T>(Wide{0.5F} + Wide{0.02F} * static_cast<Wide>(stream.normal(i)));
    const auto u = static_cast<T>(Wide{-2} + Wide{5} * static_cast<Wide>(stream.uniform(i)));
    ASSERT_EQ(static_cast<double>(static_cast<Wide>(normal.data<T>()[i])),
              static_cast<double>(static_cast<Wide>(n)))
        << i;
    ASSERT_EQ(static_cast<double>(static_cast<Wide>(uniform.data<T>()[i])),
              static_cast<double>(static_cast<Wide>(u)))
        << i;
  }
}

// Either side of one Philox block, and across the grains of the loop.
TEST_P(FillTest, GivesElementForElementWhatTheStreamSays) {
  const RandomStream stream(5, RandomPurpose::kInit, 1, 2);
  for (const int64_t n : {0, 1, 3, 4, 5, 1023, 1024, 1025, 10007}) {
    SCOPED_TRACE(n);
    Tensor normal({n}, GetParam());
    Tensor uniform({n}, GetParam());
    fill_normal(normal, stream, 0.5F, 0.02F);
    fill_uniform(uniform, stream, -2, 3);
    dispatch_float(GetParam(), [&](auto tag) {
      expect_elementwise<typename decltype(tag)::type>(normal, uniform, stream);
    });
  }
}

TEST_P(FillTest, DoesNotDependOnTheThreadCount) {
  const int threads = num_threads();
  const RandomStream stream(6, RandomPurpose::kInit);
  std::vector<Tensor> results;
  for (const int n : {1, 2, 3, 8}) {
    set_num_threads(n);
    Tensor x({50'001}, GetParam());
    fill_normal(x, stream, 0, 1);
    results.push_back(x);
  }
  set_num_threads(threads);
  for (const Tensor& x : results) {
    EXPECT_EQ(std::memcmp(x.raw(), results[0].raw(), static_cast<size_t>(x.size_bytes())), 0);
  }
}

}  // namespace
}  // namespace nanochat
