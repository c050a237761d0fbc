// Known values of the reference: RMSNorm, and rotary positions with the norm of queries and keys.
#include <cmath>
#include <vector>

#include <gtest/gtest.h>

#include "ops/backend.h"
#include "support/compare.h"
#include "support/guarded.h"
#include "support/random.h"

namespace nanochat {
namespace {

using test::converted;
using test::expect_close;
using test::GuardedTensor;
using test::random_normal;
using test::same_bits;
using test::to_doubles;

constexpr DType kActs[] = {DType::kF64, DType::kF32, DType::kBf16};

Backend& ops() { return reference_backend(); }

Tensor tensor_from(const std::vector<double>& values, Shape shape, DType dtype) {
  return converted(tensor_of<double>(values, shape), dtype);
}

TEST(ReferenceRmsNorm, DividesEachRowByItsRootMeanSquare) {
  for (const DType act : kActs) {
    // Mean squares 25 / 2 and 7: with eps 0.5 and 2 the roots would differ.
    GuardedTensor x(tensor_from({3, 4, 5.5, -1.5}, {2, 2}, act));
    GuardedTensor rstd({2}, stats_dtype(act));
    GuardedTensor y({2, 2}, act);
    ops().rms_norm(*x, *y, *rstd, 2.0F);
    const double s0 = 1 / std::sqrt(14.5);
    const double s1 = 1 / std::sqrt(18.25);
    const test::Tolerance rounding{.rel_of_max = 1.01 * test::unit_roundoff(act)};
    expect_close(*y, tensor_from({3 * s0, 4 * s0, 5.5 * s1, -1.5 * s1}, {2, 2}, DType::kF64),
                 rounding);
    expect_close(*rstd, tensor_from({s0, s1}, {2}, DType::kF64),
                 {.rel_of_max = test::unit_roundoff(stats_dtype(act))});
    ops().rms_norm(*x, *x, *rstd, 2.0F);
    EXPECT_TRUE(same_bits(*x, *y));
    EXPECT_TRUE(x.check());
    EXPECT_TRUE(y.check());
    EXPECT_TRUE(rstd.check());
  }
}

TEST(ReferenceRmsNorm, ARowOfZerosStaysZero) {
  GuardedTensor y({1, 3}, DType::kF32);
  GuardedTensor rstd({1}, DType::kF32);
  ops().rms_norm(zeros({1, 3}, DType::kF32), *y, *rstd, 0.25F);
  EXPECT_EQ(to_doubles(*y), (std::vector<double>{0, 0, 0}));
  EXPECT_EQ(to_doubles(*rstd), (std::vector<double>{2}));
}

TEST(ReferenceRopeQkNorm, TurnsByMinusThetaOfItsPositionThenNorms) {
  // One query, key and value head of two numbers; at position 3, cos = 0.6 and sin = 0.8 turn (3,
  // 4) to (5, 0) and (-4, 3) to (0, 5).
  const AttentionShape shape{.n_head = 1, .n_kv_head = 1, .head_dim = 2};
  const std::vector<nanochat::Run> one = {{.row_begin = 0, .length = 1, .position = 3}};
  const TokenRuns runs(one, 1);
  for (const DType act : kActs) {
    const DType table = stats_dtype(act);
    const Tensor cos = tensor_from({9, 9, 9, 0.6}, {4, 1}, table);
    const Tensor sin = tensor_from({9, 9, 9, 0.8}, {4, 1}, table);
    GuardedTensor qkv(tensor_from({3, 4, -4, 3, 7, -8}, {1, 6}, act));
    GuardedTensor rstd({1, 2}, table);
    ops().rope_qk_norm(*qkv, runs, shape, cos, sin, 1.2F, 3.5F, *rstd);  // 25 / 2 + 3.5 = 4^2
    expect_close(*qkv, tensor_from({1.5, 0, 0, 1.5, 7, -8}, {1, 6}, DType::kF64),
                 {.rel_of_max = 1.01 * test::unit_roundoff(act) + 1e-7});
    expect_close(*rstd, tensor_from({0.25, 0.25}, {1, 2}, DType::kF64), {.rel_of_max = 1e-7});
    EXPECT_EQ(to_doubles(*qkv)[5], -8);
    EXPECT_TRUE(qkv.check());
    EXPECT_TRUE(rstd.check());
  }
}

TEST(ReferenceRopeQkNorm, TheAnglesBetweenQueryAndKeyDependOnTheirDistanceAlone) {
  constexpr int64_t P = 12;
  const AttentionShape shape{.n_head = 1, .n_kv_head = 1, .head_dim = 4};
  Tensor cos({P, 2}, DType::kF64);
  Tensor sin({P, 2}, DType::kF64);
  for (int64_t p = 0; p < P; ++p) {
    for (int64_t i = 0; i < 2; ++i) {
      const double theta = static_cast<double>(p) * (i == 0 ? 1 : 0.3);
      cos.data<double>()[2 * p + i] = std::cos(theta);
      sin.data<double>()[2 * p + i] = std::sin(theta);
    }
  }
  const Tensor one_row = random_normal({1, 12}, DType::kF64, 1);
  const auto product_at = [&](int32_t q_position, int32_t k_position) {
    const std::vector<nanochat::Run> two = {{.row_begin = 0, .length = 1, .position = q_position},
                                            {.row_begin = 1, .length = 1, .position = k_position}};
    const TokenRuns runs(two, 2);
    GuardedTensor qkv({2, 12}, DType::kF64);
    for (int64_t i = 0; i < 24; ++i) (*qkv).data<double>()[i] = one_row.data<double>()[i % 12];
    GuardedTensor rstd({2, 2}, DType::kF64);
    ops().rope_qk_norm(*qkv, runs, shape, cos, sin, 1, 1e-7F, *rstd);
    const double* q = (*qkv).data<double>();
    const double* k = q + 12 + 4;
    return q[0] * k[0] + q[1] * k[1] + q[2] * k[2] + q[3] * k[3];
  };
  EXPECT_NEAR(product_at(4, 1), product_at(11, 8), 1e-12);
  EXPECT_NEAR(product_at(0, 0), product_at(9, 9), 1e-12);
  EXPECT_GT(std::abs(product_at(4, 1) - product_at(4, 2)), 1e-3);
}

}  // namespace
}  // namespace nanochat
