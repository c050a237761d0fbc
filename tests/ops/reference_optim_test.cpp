// Known values of the reference: reductions, clipping and the optimizers' element-wise steps.
#include <cmath>
#include <limits>
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
using test::to_doubles;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr DType kActs[] = {DType::kF64, DType::kF32, DType::kBf16};
constexpr double kFactors = 1e-7;  // lr, beta1 ... are f32: 0.95F is 1.2e-8 off

Backend& ops() { return reference_backend(); }

Tensor tensor_from(const std::vector<double>& values, Shape shape, DType dtype) {
  return converted(tensor_of<double>(values, shape), dtype);
}
Tensor row_of(const std::vector<double>& values, DType dtype = DType::kF64) {
  return tensor_from(values, {static_cast<int64_t>(values.size())}, dtype);
}

TEST(ReferenceDot, AddsUpInDoubleOnTopOfBetaTimesWhatWasThere) {
  for (const DType a_dtype : kActs) {
    for (const DType b_dtype : kActs) {
      const Tensor a = row_of({1, -3, 0.5}, a_dtype);
      const Tensor b = row_of({2, 4, 8}, b_dtype);
      GuardedTensor out(row_of({10}));
      ops().dot(a, b, 0.5, *out);
      EXPECT_EQ(to_doubles(*out), (std::vector<double>{-1}));
      ops().dot(a, a, 1, *out);
      EXPECT_EQ(to_doubles(*out), (std::vector<double>{9.25}));
      ops().dot(a.rows(1, 1), b.rows(1, 1), 1, *out);  // nothing to add
      EXPECT_EQ(to_doubles(*out), (std::vector<double>{9.25}));
      EXPECT_TRUE(out.check());
    }
  }
  // A sum in f32 would stand still at 2^24.
  std::vector<double> values(65, 1);
  values.front() = 0x1p24;
  const Tensor x = row_of(values, DType::kBf16);
  GuardedTensor out({1}, DType::kF64);  // NaN: beta is 0
  ops().dot(x, row_of(std::vector<double>(65, 1), DType::kF32), 0, *out);
  EXPECT_EQ(to_doubles(*out), (std::vector<double>{0x1p24 + 64}));
}

TEST(ReferenceSquaredNorms, IsOneSumPerMatrix) {
  for (const DType act : kActs) {
    GuardedTensor out({3}, DType::kF64);
    ops().squared_norms(tensor_from({1, 2, 2, 0, 0, 0, -3, 4, 12}, {3, 1, 3}, act), *out);
    EXPECT_EQ(to_doubles(*out), (std::vector<double>{9, 0, 169}));
    EXPECT_TRUE(out.check());
  }
}

TEST(ReferenceClipScale, ShrinksLongGradientsOnly) {
  const auto scale_for = [](double norm_squared, float max_norm) {
    GuardedTensor scale({1}, DType::kF32);
    ops().clip_scale(row_of({norm_squared}), max_norm, *scale);
    EXPECT_TRUE(scale.check());
    return to_doubles(*scale)[0];
  };
  EXPECT_EQ(scale_for(25, 2), static_cast<double>(static_cast<float>(2 / (5 + 1e-6))));
  EXPECT_EQ(scale_for(0.01, 1), 1);
  EXPECT_EQ(scale_for(0, 1), 1);
  EXPECT_LT(scale_for(1, 1), 1);  // torch's 1e-6: even a norm of max_norm is shrunk a little
  EXPECT_GT(scale_for(1, 1), 1 - 2e-6);
}

TEST(ReferenceClipScale, ANormThatIsNotANumberStopsTheStep) {
  for (const double broken : {kNan, kInf, -1.0}) {
    GuardedTensor scale({1}, DType::kF32);
    ops().clip_scale(row_of({broken}), 1, *scale);
    EXPECT_EQ(to_doubles(*scale)[0], 0) << broken;
  }
}

TEST(ReferenceAdamW, TwoStepsByHand) {
  // t = 1: m = 0.2 * 0.5, v = 0.05 * 0.25; both corrections undo the factors, so the step is lr:
  //        p = 1 (1 - 0.1 * 0.1) - 0.1
  // t = 2: m = 0.1 + 0.2 (-1 - 0.1), v = 0.95 * 0.0125 + 0.05
  //        p = 0.89 * 0.99 + 0.1 / 0.36 * 0.12 / sqrt(0.061875 / 0.0975)
  AdamWParams params{
      .lr = 0.1F, .beta1 = 0.8F, .beta2 = 0.95F, .eps = 1e-10F, .weight_decay = 0.1F, .step = 1};
  for (const DType dtype : {DType::kF64, DType::kF32}) {
    GuardedTensor p(row_of({1}, dtype));
    GuardedTensor m(row_of({0}, dtype));
    GuardedTensor v(row_of({0}, dtype));
    params.step = 1;
    ops().adamw(*p, row_of({0.5}, dtype), *m, *v, Tensor(), params);
    EXPECT_NEAR(to_doubles(*p)[0], 0.89, kFactors);
    EXPECT_NEAR(to_doubles(*m)[0], 0.1, kFactors);
    EXPECT_NEAR(to_doubles(*v)[0], 0.0125, kFactors);
    params.step = 2;
    ops().adamw(*p, row_of({-1}, dtype), *m, *v, Tensor(), params);
    EXPECT_NEAR(to_doubles(*m)[0], -0.12, kFactors);
    EXPECT_NEAR(to_doubles(*v)[0], 0.061875, kFactors);
    EXPECT_NEAR(to_doubles(*p)[0], 0.8811 + 0.1 / 0.36 * 0.12 / std::sqrt(0.061875 / 0.0975),
                kFactors);
    EXPECT_TRUE(p.check());
    EXPECT_TRUE(m.check());
    EXPECT_TRUE(v.check());
  }
}

TEST(ReferenceAdamW, AddsEpsAfterTheCorrectionAndScalesTheGradientFirst) {
  // g' = 0.5 * 3 = 1.5; corrected moments 1.5 and 2.25: the step is 0.1 * 1.5 / (1.5 + 0.5).
  const AdamWParams params{.lr = 0.1F, .beta1 = 0.8F, .beta2 = 0.95F, .eps = 0.5F, .step = 1};
  GuardedTensor p(row_of({2, 2}));
  GuardedTensor m(row_of({0, 0}));
  GuardedTensor v(row_of({0, 0}));
  const Tensor scale = row_of({0.5}, DType::kF32);
  ops().adamw(*p, row_of({3, -3}), *m, *v, scale, params);
  expect_close(*p, row_of({2 - 0.075, 2 + 0.075}), {.abs = 1e-7});
  expect_close(*m, row_of({0.3, -0.3}), {.abs = 1e-7});
  expect_close(*v, row_of({0.1125, 0.1125}), {.abs = 1e-7});
}

TEST(ReferenceAdamW, AGradientThatWasAlwaysZeroMovesNothingButTheDecay) {
  const AdamWParams params{
      .lr = 0.5F, .beta1 = 0.8F, .beta2 = 0.95F, .eps = 1e-10F, .weight_decay = 0.5F, .step = 7};
  GuardedTensor p(row_of({4}));
  GuardedTensor m(row_of({0}));
  GuardedTensor v(row_of({0}));
  ops().adamw(*p, row_of({0}), *m, *v, Tensor(), params);
  EXPECT_EQ(to_doubles(*p), (std::vector<double>{3}));
}

TEST(ReferenceNesterov, LooksOneStepAhead) {
  // g' = 0.5 * 1;  m = 0.2 + 0.1 (0.5 - 0.2) = 0.23;  u = 0.1 * 0.5 + 0.9 * 0.23 = 0.257
  for (const DType u_dtype : {DType::kF32, DType::kBf16}) {
    GuardedTensor m(row_of({0.2, 0}, DType::kF32));
    GuardedTensor u({2}, u_dtype);
    const Tensor scale = row_of({0.5}, DType::kF32);
    ops().nesterov(row_of({1, 0}, DType::kF32), *m, scale, 0.9F, *u);
    expect_close(*m, row_of({0.23, 0}), {.rel_of_max = 2e-7});
    expect_close(*u, row_of({0.257, 0}), {.rel_of_max = 1e-7 + test::unit_roundoff(u_dtype)});
    EXPECT_TRUE(m.check());
    EXPECT_TRUE(u.check());
  }
  GuardedTensor m(row_of({0}));
  GuardedTensor u({1}, DType::kF64);
  ops().nesterov(row_of({1}), *m, Tensor(), 0.75F, *u);  // no scale: 1
  EXPECT_EQ(to_doubles(*m), (std::vector<double>{0.25}));
  EXPECT_EQ(to_doubles(*u), (std::vector<double>{0.25 + 0.75 * 0.25}));
}

TEST(ReferenceNormalizeMatrices, DividesByNormPlusEps) {
  for (const DType act : kActs) {
    GuardedTensor x(tensor_from({6, 8, 0, 0, -1, 1}, {3, 1, 2}, act));
    ops().normalize_matrices(*x, row_of({100, 0, 9}), 1);
    expect_close(*x, tensor_from({6 / 11.0, 8 / 11.0, 0, 0, -0.25, 0.25}, {3, 1, 2}, DType::kF64),
                 {.rel_of_max = 1.01 * test::unit_roundoff(act)});
    EXPECT_TRUE(x.check());
  }
}

}  // namespace
}  // namespace nanochat
