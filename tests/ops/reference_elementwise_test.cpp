// Known values of the reference: moving, rounding, element-wise operations and the embedding.
#include <cmath>
#include <limits>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "ops/backend.h"
#include "support/compare.h"
#include "support/guarded.h"
#include "support/random.h"

namespace nanochat {
namespace {

using test::converted;
using test::GuardedTensor;
using test::random_normal;
using test::same_bits;
using test::to_doubles;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr DType kActs[] = {DType::kF64, DType::kF32, DType::kBf16};

Backend& ops() { return reference_backend(); }

Tensor row_of(const std::vector<double>& values, DType dtype = DType::kF64) {
  return converted(tensor_of<double>(values, {static_cast<int64_t>(values.size())}), dtype);
}

TEST(ReferenceBackend, SaysWhatItIs) {
  EXPECT_EQ(ops().name(), "reference");
  EXPECT_EQ(ops().preferred_dtype(), DType::kF32);
  EXPECT_EQ(ops().device().kind, DeviceKind::kCpu);
  for (const DType act : kActs) EXPECT_TRUE(ops().supports(act));
  EXPECT_FALSE(ops().supports(DType::kF16));
  EXPECT_FALSE(ops().supports(DType::kI32));
}

TEST(ReferenceMove, ZeroAndCopyTakeAnyDtypeAndNoElements) {
  for (const DType dtype : {DType::kF64, DType::kBf16, DType::kI32, DType::kU8}) {
    for (const int64_t n : {0, 1, 13}) {
      GuardedTensor y({n}, dtype);
      ops().zero(*y);
      EXPECT_TRUE(same_bits(*y, zeros({n}, dtype)));
      Tensor x({n}, dtype);
      for (int64_t i = 0; i < x.size_bytes(); ++i) {
        static_cast<uint8_t*>(x.raw())[i] = static_cast<uint8_t>(37 * i + 1);
      }
      ops().copy(x, *y);
      EXPECT_TRUE(same_bits(*y, x));
      EXPECT_TRUE(y.check());
    }
  }
}

TEST(ReferenceCast, RoundsToTheNearestBf16AndTiesToEven) {
  const double ulp = 0x1p-7;  // of bf16 numbers in [1, 2)
  const Tensor x = row_of({1, 1 + 0.25 * ulp, 1 + 0.5 * ulp, 1 + 0.75 * ulp, 1 + 1.5 * ulp,
                           -1 - 0.5 * ulp, -1 - 1.5 * ulp, 0x1p-133, 0x1p-134, 3.4e38, -0.0});
  const std::vector<double> expected = {1,        1, 1,    1 + ulp, 1 + 2 * ulp, -1, -1 - 2 * ulp,
                                        0x1p-133, 0, kInf, -0.0};
  for (const DType from : {DType::kF64, DType::kF32}) {
    GuardedTensor y({x.numel()}, DType::kBf16);
    ops().cast(converted(x, from), *y);
    EXPECT_EQ(to_doubles(*y), expected) << name_of(from);
    EXPECT_TRUE(std::signbit(to_doubles(*y).back()));
    EXPECT_TRUE(y.check());
  }
}

// Through a float these become ties, and the second rounding would go to the wrong side.
TEST(ReferenceCast, RoundsADoubleToBf16Once) {
  const double half = 0x1p-8;
  const double tiny = 0x1p-40;
  GuardedTensor y({6}, DType::kBf16);
  ops().cast(row_of({1 + half + tiny, 1 + half, 1 + half - tiny, 1 + 3 * half - tiny,
                     -1 - half - tiny, -1 - 3 * half + tiny}),
             *y);
  const std::vector<double> expected = {1 + 2 * half, 1, 1, 1 + 2 * half, -1 - 2 * half,
                                        -1 - 2 * half};
  EXPECT_EQ(to_doubles(*y), expected);
  EXPECT_TRUE(y.check());
}

TEST(ReferenceCast, KeepsNanAndInfinityAndOverflowsToInfinity) {
  for (const DType to : kActs) {
    GuardedTensor y({4}, to);
    ops().cast(row_of({kNan, kInf, -kInf, 1e300}), *y);
    const std::vector<double> out = to_doubles(*y);
    EXPECT_TRUE(std::isnan(out[0]));
    EXPECT_EQ(out[1], kInf);
    EXPECT_EQ(out[2], -kInf);
    EXPECT_EQ(out[3], to == DType::kF64 ? 1e300 : kInf);
    EXPECT_TRUE(y.check());
  }
}

TEST(ReferenceCast, WideningAndBackChangesNothing) {
  const Tensor x = random_normal({31}, DType::kBf16, 1);
  for (const DType wide : kActs) {
    GuardedTensor y({31}, wide);
    GuardedTensor z({31}, DType::kBf16);
    ops().cast(x, *y);
    ops().cast(*y, *z);
    EXPECT_TRUE(same_bits(*z, x));
    EXPECT_TRUE(y.check());
  }
}

TEST(ReferenceAdd, AddsAndMayWriteOverEitherInput) {
  for (const DType act : kActs) {
    const Tensor a = row_of({1, -2, 0.5, 8}, act);
    const Tensor b = row_of({3, 2, 0.25, -9}, act);
    const std::vector<double> expected = {4, 0, 0.75, -1};
    GuardedTensor y({4}, act);
    GuardedTensor over_a(a);
    GuardedTensor over_b(b);
    ops().add(a, b, *y);
    ops().add(*over_a, b, *over_a);
    ops().add(a, *over_b, *over_b);
    EXPECT_EQ(to_doubles(*y), expected);
    EXPECT_EQ(to_doubles(*over_a), expected);
    EXPECT_EQ(to_doubles(*over_b), expected);
    EXPECT_TRUE(y.check());
  }
}

TEST(ReferenceAxpby, MixesDtypesAndRoundsOnce) {
  for (const DType x_dtype : kActs) {
    for (const DType y_dtype : kActs) {
      GuardedTensor y(row_of({10, -4, 0.5}, y_dtype));
      ops().axpby(2, row_of({1, 3, -0.25}, x_dtype), 0.5F, *y);
      EXPECT_EQ(to_doubles(*y), (std::vector<double>{7, 4, -0.25}));
      EXPECT_TRUE(y.check());
    }
  }
  // 1 + 2^-8 and 2^-20 in f32, their sum to bf16: rounding the first before adding would lose it.
  GuardedTensor y(row_of({0x1p-20}, DType::kBf16));
  ops().axpby(1, row_of({1 + 0x1p-8}, DType::kF32), 1, *y);
  EXPECT_EQ(to_doubles(*y), (std::vector<double>{1 + 0x1p-7}));
}

TEST(ReferenceAxpby, AFactorOfZeroIgnoresWhatYHeld) {
  for (const DType act : kActs) {
    GuardedTensor y({3}, act);  // NaN
    ops().axpby(-2, row_of({1, 3, -0.25}, act), 0, *y);
    EXPECT_EQ(to_doubles(*y), (std::vector<double>{-2, -6, 0.5}));
    EXPECT_TRUE(y.check());
  }
}

TEST(ReferenceSign, IsMinusOneZeroOrOne) {
  for (const DType act : kActs) {
    GuardedTensor y(row_of({-3, -0x1p-100, -0.0, 0, 0x1p-100, kInf, -kInf}, act));
    ops().sign(*y, *y);
    EXPECT_EQ(to_doubles(*y), (std::vector<double>{-1, -1, 0, 0, 1, 1, -1}));
    EXPECT_TRUE(y.check());
  }
}

TEST(ReferenceReluSquared, SquaresWhatIsPositiveInPlaceTooAndKeepsNan) {
  for (const DType act : kActs) {
    const Tensor x = row_of({-2, 0, 1.5, 3, kNan}, act);
    GuardedTensor y({5}, act);
    GuardedTensor in_place(x);
    ops().relu_squared(x, *y);
    ops().relu_squared(*in_place, *in_place);
    const std::vector<double> out = to_doubles(*y);
    EXPECT_EQ(std::vector<double>(out.begin(), out.end() - 1),
              (std::vector<double>{0, 0, 2.25, 9}));
    EXPECT_TRUE(std::isnan(out[4]));
    EXPECT_TRUE(same_bits(*in_place, *y));

    GuardedTensor dx(row_of({1, 1, -2, 0.5, 1}, act));
    ops().relu_squared_backward(*dx, *y, *dx);
    const std::vector<double> gradient = to_doubles(*dx);
    EXPECT_EQ(std::vector<double>(gradient.begin(), gradient.end() - 1),
              (std::vector<double>{0, 0, -6, 3}));
    EXPECT_TRUE(y.check());
    EXPECT_TRUE(dx.check());
  }
}

TEST(ReferenceEmbedding, LooksUpRowsAndRoundsThem) {
  const Tensor w = converted(
      tensor_of<double>(std::vector<double>{1, 2, 3, 4, 1 + 0x1p-8, -6}, {3, 2}), DType::kF32);
  const Tensor ids = tensor_of<int32_t>(std::vector<int32_t>{2, 0, 2, 1}, {4});
  GuardedTensor y({4, 2}, DType::kBf16);
  ops().embedding(w, ids, *y);
  EXPECT_EQ(to_doubles(*y), (std::vector<double>{1, -6, 1, 2, 1, -6, 3, 4}));
  EXPECT_TRUE(y.check());
}

TEST(ReferenceEmbedding, BackwardAddsRepeatedIdsInOrder) {
  // In f32: (2^24 + 1) + 1 stays 2^24, while 2^24 + (1 + 1) would not. The order is the contract.
  const Tensor ids = tensor_of<int32_t>(std::vector<int32_t>{1, 0, 1, 1}, {4});
  for (const DType act : {DType::kF32, DType::kBf16}) {
    const Tensor dy = row_of({0x1p24, 5, 1, 1}, act).view({4, 1});
    GuardedTensor dw(row_of({0.5, 0, 7}, DType::kF32).view({3, 1}));
    ops().embedding_backward(dy, ids, *dw);
    EXPECT_EQ(to_doubles(*dw), (std::vector<double>{5.5, 0x1p24, 7}));
    EXPECT_TRUE(dw.check());
  }
}

}  // namespace
}  // namespace nanochat
