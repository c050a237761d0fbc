// Known values of the reference: softcap and softcap cross-entropy.
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
using test::random_normal;
using test::same_bits;
using test::to_doubles;

constexpr DType kActs[] = {DType::kF64, DType::kF32, DType::kBf16};

Backend& ops() { return reference_backend(); }

Tensor ids_of(const std::vector<int32_t>& ids) {
  return tensor_of<int32_t>(ids, {static_cast<int64_t>(ids.size())});
}
Tensor weights_of(const std::vector<float>& weights) {
  return tensor_of<float>(weights, {static_cast<int64_t>(weights.size())});
}

TEST(ReferenceCrossEntropy, EqualLogitsCostTheLogOfTheVocabulary) {
  constexpr int64_t V = 37;
  for (const DType act : kActs) {
    for (const double level : {0.0, 4.0, -1000.0}) {
      Tensor logits({1, V}, DType::kF64);
      for (double& x : logits.span<double>()) x = level;
      GuardedTensor x(converted(logits, act));
      GuardedTensor loss({1}, stats_dtype(act));
      ops().softcap_cross_entropy(*x, ids_of({36}), weights_of({1}), 15, true, *loss);
      EXPECT_NEAR(to_doubles(*loss)[0], std::log(37.0), act == DType::kF64 ? 1e-14 : 3e-7);
      // softmax - onehot, damped by the softcap's slope.
      const double t = std::tanh(level / 15);
      Tensor expected({1, V}, DType::kF64);
      for (int64_t v = 0; v < V; ++v) {
        expected.data<double>()[v] = (1 / 37.0 - (v == 36 ? 1 : 0)) * (1 - t * t);
      }
      expect_close(*x, expected, {.abs = 1e-14, .rel_of_max = 1.01 * test::unit_roundoff(act)});
      EXPECT_TRUE(x.check());
      EXPECT_TRUE(loss.check());
    }
  }
}

TEST(ReferenceCrossEntropy, ComparesSoftlyCappedLogits) {
  // cap tanh(x / cap) of 0, and of the x that gives exactly log 3: p = 1/4, 3/4.
  const double cap = 2;
  const double x1 = cap * std::atanh(std::log(3.0) / cap);
  GuardedTensor logits(tensor_of<double>(std::vector<double>{0, x1, 0, x1}, {2, 2}));
  GuardedTensor loss({2}, DType::kF64);
  ops().softcap_cross_entropy(*logits, ids_of({0, 1}), weights_of({1, 0.5F}), 2, true, *loss);
  const double slope = 1 - std::log(3.0) * std::log(3.0) / (cap * cap);
  expect_close(*loss, tensor_of<double>(std::vector<double>{std::log(4.0), std::log(4.0 / 3)}, {2}),
               {.abs = 1e-14});
  expect_close(
      *logits,
      tensor_of<double>(std::vector<double>{-0.75, 0.75 * slope, 0.5 * 0.25, 0.5 * -0.25 * slope},
                        {2, 2}),
      {.abs = 1e-14});
}

TEST(ReferenceCrossEntropy, IgnoredRowsCostNothingAndRowsOfNoWeightPushNothing) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  for (const DType act : kActs) {
    // Ignored; ignored and broken; of no weight; of no weight and broken.
    const std::vector<double> rows = {1, 2, 3, nan, nan, nan, 1, 2, 3, nan, nan, nan};
    GuardedTensor logits(converted(tensor_of<double>(rows, {4, 3}), act));
    GuardedTensor loss({4}, stats_dtype(act));
    ops().softcap_cross_entropy(*logits, ids_of({-1, -1, 1, 0}), weights_of({1, 0, 0, 0}), 15, true,
                                *loss);
    EXPECT_EQ(to_doubles(*logits), std::vector<double>(12, 0));
    EXPECT_EQ(to_doubles(*loss)[0], 0);
    EXPECT_EQ(to_doubles(*loss)[1], 0);
    EXPECT_NEAR(to_doubles(*loss)[2], 1.40, 0.02);  // 1.4076 uncapped: it still is measured
    EXPECT_TRUE(std::isnan(to_doubles(*loss)[3]));
    EXPECT_TRUE(logits.check());
    EXPECT_TRUE(loss.check());
  }
}

TEST(ReferenceCrossEntropy, WithoutAGradientTheLogitsStayAsTheyAre) {
  const Tensor logits = random_normal({5, 11}, DType::kBf16, 1);
  GuardedTensor measured(logits);
  GuardedTensor overwritten(logits);
  GuardedTensor loss({5}, DType::kF32);
  GuardedTensor same_loss({5}, DType::kF32);
  const Tensor targets = ids_of({0, 10, -1, 4, 4});
  const Tensor weights = weights_of({1, 2, 3, 0, -1});
  ops().softcap_cross_entropy(*measured, targets, weights, 15, false, *loss);
  ops().softcap_cross_entropy(*overwritten, targets, weights, 15, true, *same_loss);
  EXPECT_TRUE(same_bits(*measured, logits));
  EXPECT_FALSE(same_bits(*overwritten, logits));
  EXPECT_TRUE(same_bits(*same_loss, *loss));
}

TEST(ReferenceSoftcap, BendsLogitsInPlaceOrIntoF32) {
  const Tensor x =
      converted(tensor_of<double>(std::vector<double>{0, 0.0625, 3, -40, 1e30}, {5}), DType::kBf16);
  Tensor expected({5}, DType::kF64);
  for (int64_t i = 0; i < 5; ++i) {
    expected.data<double>()[i] = 2.5 * std::tanh(to_doubles(x)[static_cast<size_t>(i)] / 2.5);
  }
  GuardedTensor y({5}, DType::kF32);
  ops().softcap(x, 2.5F, *y);
  expect_close(*y, expected, {.rel_of_max = test::unit_roundoff(DType::kF32)});
  GuardedTensor in_place(x);
  ops().softcap(*in_place, 2.5F, *in_place);
  expect_close(*in_place, expected, {.rel_of_max = test::unit_roundoff(DType::kBf16)});
  EXPECT_TRUE(y.check());
  EXPECT_TRUE(in_place.check());
}

}  // namespace
}  // namespace nanochat
