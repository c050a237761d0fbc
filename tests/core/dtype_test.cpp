#include "core/dtype.h"

#include <cmath>
#include <limits>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "core/rng.h"

namespace nanochat {
namespace {

template <typename T>
T from_bits(uint32_t bits) {
  T x;
  x.bits = static_cast<uint16_t>(bits);
  return x;
}

/// What the 16 bits mean, by the definition of the format and in double, which holds all exactly.
double value_of(uint32_t bits, int fraction_bits, int bias) {
  const int exponent_bits = 15 - fraction_bits;
  const auto exponent = static_cast<int>((bits >> fraction_bits) & ((1U << exponent_bits) - 1));
  const auto fraction = static_cast<double>(bits & ((1U << fraction_bits) - 1));
  const double sign = bits & 0x8000U ? -1.0 : 1.0;
  if (exponent == (1 << exponent_bits) - 1) {
    return fraction == 0 ? sign * std::numeric_limits<double>::infinity()
                         : std::numeric_limits<double>::quiet_NaN();
  }
  const double scaled = std::ldexp(fraction, -fraction_bits);
  return exponent == 0 ? sign * std::ldexp(scaled, 1 - bias)
                       : sign * std::ldexp(1 + scaled, exponent - bias);
}

struct Bf16Format {
  using Type = Bf16;
  static constexpr int kFractionBits = 7, kBias = 127;
};
struct F16Format {
  using Type = F16;
  static constexpr int kFractionBits = 10, kBias = 15;
};

template <typename Format>
class HalfTest : public ::testing::Test {
 protected:
  using T = typename Format::Type;
  static double meaning(uint32_t bits) {
    return value_of(bits, Format::kFractionBits, Format::kBias);
  }
  static constexpr uint32_t kInfinity = 0x7fffU >> Format::kFractionBits << Format::kFractionBits;

  /// Checks the rounding of x against the two neighbours that enclose it, in double arithmetic.
  static void expect_nearest_even(float x) {
    const uint32_t actual = T(x).bits;
    const double magnitude = std::abs(static_cast<double>(x));
    ASSERT_EQ(actual >> 15, std::signbit(x) ? 1U : 0U) << x;
    // The largest number at or below |x|, by bisection: the bits of magnitudes grow with them.
    uint32_t below = 0, above = kInfinity;
    while (above - below > 1) {
      const uint32_t middle = (below + above) / 2;
      (meaning(middle) <= magnitude ? below : above) = middle;
    }
    // As if the exponent went on: what would follow the largest number stands for infinity.
    const double next =
        above == kInfinity ? 2 * meaning(below) - meaning(below - 1) : meaning(above);
    const double down = magnitude - meaning(below), up = next - magnitude;
    const bool to_above = up < down || (up == down && (below & 1U) == 1);
    ASSERT_EQ(actual & 0x7fffU, to_above ? above : below) << fmt::format("{} ({:a})", x, x);
  }
};

using Formats = ::testing::Types<Bf16Format, F16Format>;
TYPED_TEST_SUITE(HalfTest, Formats);

TYPED_TEST(HalfTest, AllPatternsMeanWhatTheFormatSays) {
  using Half = typename TestFixture::T;
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    const auto x = static_cast<float>(from_bits<Half>(bits));
    const double expected = this->meaning(bits);
    if (std::isnan(expected)) {
      ASSERT_TRUE(std::isnan(x)) << bits;
    } else {
      ASSERT_EQ(x, expected) << bits;
      ASSERT_EQ(std::signbit(x), std::signbit(expected)) << bits;
    }
  }
}

TYPED_TEST(HalfTest, AllPatternsSurviveTheRoundTrip) {
  using Half = typename TestFixture::T;
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    const auto x = static_cast<float>(from_bits<Half>(bits));
    if (std::isnan(x)) {
      ASSERT_TRUE(std::isnan(static_cast<float>(Half(x)))) << bits;
    } else {
      ASSERT_EQ(Half(x).bits, bits);
    }
  }
}

TYPED_TEST(HalfTest, RoundsToNearestEvenAroundEveryNumberAndEveryTie) {
  using Half = typename TestFixture::T;
  for (uint32_t bits = 0; bits < this->kInfinity; ++bits) {
    const float x = static_cast<float>(from_bits<Half>(bits));
    const double next = bits + 1 == this->kInfinity
                            ? 2 * this->meaning(bits) - this->meaning(bits - 1)
                            : this->meaning(bits + 1);
    const auto tie = static_cast<float>((this->meaning(bits) + next) / 2);  // exact in float
    for (const float y : {x, tie, std::nextafter(tie, 0.0F), std::nextafter(tie, INFINITY)}) {
      if (std::isinf(y)) continue;  // above the last tie of bf16 there is no float left
      this->expect_nearest_even(y);
      this->expect_nearest_even(-y);
    }
    if (this->HasFatalFailure()) return;
  }
}

TYPED_TEST(HalfTest, RoundsRandomFloatsToNearestEven) {
  const RandomStream stream(11, RandomPurpose::kTest);
  for (int64_t i = 0; i < 200'000; ++i) {
    const auto x = std::bit_cast<float>(stream.bits(i));
    if (!std::isfinite(x)) continue;
    this->expect_nearest_even(x);
    if (this->HasFatalFailure()) return;
  }
}

TYPED_TEST(HalfTest, KeepsInfinityAndEveryNan) {
  using Half = typename TestFixture::T;
  EXPECT_EQ(Half(INFINITY).bits, this->kInfinity);
  EXPECT_EQ(Half(-INFINITY).bits, this->kInfinity | 0x8000U);
  // Payloads in the low bits alone would be cut off, and 0x7fffffff would round up to -0.
  for (const uint32_t bits : {0x7f800001U, 0x7fc00000U, 0x7fffffffU, 0xff800001U, 0xffffffffU}) {
    EXPECT_TRUE(std::isnan(static_cast<float>(Half(std::bit_cast<float>(bits))))) << bits;
  }
}

TEST(DType, NamesParseBack) {
  for (const DType dtype : {DType::kF64, DType::kF32, DType::kBf16, DType::kF16, DType::kI64,
                            DType::kI32, DType::kU8}) {
    EXPECT_EQ(parse_dtype(name_of(dtype)), dtype);
  }
  EXPECT_EQ(name_of(DType::kBf16), "bf16");
  for (const char* wrong : {"", "float32", "BF16", "f", "f321"}) {
    EXPECT_EQ(parse_dtype(wrong), std::nullopt) << wrong;
  }
}

TEST(DType, SizesAndKinds) {
  EXPECT_EQ(size_of(DType::kF64), 8);
  EXPECT_EQ(size_of(DType::kI64), 8);
  EXPECT_EQ(size_of(DType::kF32), 4);
  EXPECT_EQ(size_of(DType::kI32), 4);
  EXPECT_EQ(size_of(DType::kBf16), 2);
  EXPECT_EQ(size_of(DType::kF16), 2);
  EXPECT_EQ(size_of(DType::kU8), 1);
  for (const DType dtype : {DType::kF64, DType::kF32, DType::kBf16, DType::kF16}) {
    EXPECT_TRUE(is_float(dtype)) << name_of(dtype);
    EXPECT_EQ(stats_dtype(dtype), dtype == DType::kF64 ? DType::kF64 : DType::kF32);
  }
  for (const DType dtype : {DType::kI64, DType::kI32, DType::kU8}) {
    EXPECT_FALSE(is_float(dtype)) << name_of(dtype);
  }
  EXPECT_EQ(kDTypeOf<Bf16>, DType::kBf16);
  EXPECT_EQ(kDTypeOf<int32_t>, DType::kI32);
}

TEST(DTypeDeathTest, DispatchingAnIntegerAsAFloatAborts) {
  EXPECT_DEATH(dispatch_float(DType::kI32, [](auto) {}), "check failed: is_float.*i32");
}

}  // namespace
}  // namespace nanochat
