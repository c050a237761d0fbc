// Known values of the reference: matrix products.
#include <cmath>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "core/parallel.h"
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

Backend& ops() { return reference_backend(); }

Tensor tensor_from(const std::vector<double>& values, Shape shape, DType dtype = DType::kF64) {
  return converted(tensor_of<double>(values, shape), dtype);
}

TEST(ReferenceMatmul, MultipliesWhateverIsStoredTransposed) {
  // [1 2 3; 4 5 6] [1 -1; 0 2; 1 1] = [4 6; 10 12]
  const std::vector<double> a = {1, 2, 3, 4, 5, 6};
  const std::vector<double> a_transposed = {1, 4, 2, 5, 3, 6};
  const std::vector<double> b = {1, -1, 0, 2, 1, 1};
  const std::vector<double> b_transposed = {1, 0, 1, -1, 2, 1};
  for (const DType in : {DType::kF64, DType::kF32, DType::kBf16}) {
    for (const bool ta : {false, true}) {
      for (const bool tb : {false, true}) {
        GuardedTensor c({2, 2}, in);  // NaN: beta is 0
        ops().matmul(ta ? tensor_from(a_transposed, {3, 2}, in) : tensor_from(a, {2, 3}, in), ta,
                     tb ? tensor_from(b_transposed, {2, 3}, in) : tensor_from(b, {3, 2}, in), tb,
                     *c);
        EXPECT_EQ(to_doubles(*c), (std::vector<double>{4, 6, 10, 12})) << ta << tb;
        EXPECT_TRUE(c.check());
      }
    }
  }
}

TEST(ReferenceMatmul, ScalesAddsAndThenAppliesTheEpilogue) {
  const Tensor a = tensor_from({1, -2}, {2, 1});
  const Tensor b = tensor_from({3, 5}, {1, 2});
  GuardedTensor c(tensor_from({10, 20, -30, 40}, {2, 2}));
  ops().matmul(a, false, b, false, *c, 2, 0.5F);
  EXPECT_EQ(to_doubles(*c), (std::vector<double>{11, 20, -27, 0}));
  GuardedTensor squared(tensor_from({10, 20, -30, 40}, {2, 2}));
  ops().matmul(a, false, b, false, *squared, 2, 0.5F, Epilogue::kReluSquared);
  EXPECT_EQ(to_doubles(*squared), (std::vector<double>{121, 400, 0, 0}));
  EXPECT_TRUE(c.check());
  EXPECT_TRUE(squared.check());
}

TEST(ReferenceMatmul, WithNothingToSumGivesBetaC) {
  const Tensor a({2, 0}, DType::kF32);
  const Tensor b({0, 3}, DType::kF32);
  GuardedTensor c({2, 3}, DType::kF32);
  ops().matmul(a, false, b, false, *c);
  EXPECT_EQ(to_doubles(*c), std::vector<double>(6, 0));
  GuardedTensor kept(tensor_from({1, 2, 3, -4, 5, 6}, {2, 3}, DType::kF32));
  ops().matmul(a, false, b, false, *kept, 1, 2, Epilogue::kReluSquared);
  EXPECT_EQ(to_doubles(*kept), (std::vector<double>{4, 16, 36, 0, 100, 144}));
  EXPECT_TRUE(c.check());
}

TEST(ReferenceMatmul, TakesEmptyOutputs) {
  GuardedTensor c({0, 3}, DType::kF32);
  ops().matmul(Tensor({0, 4}, DType::kF32), false, random_normal({4, 3}, DType::kF32, 1), false,
               *c);
  EXPECT_TRUE(c.check());
  GuardedTensor no_batch({0, 2, 2}, DType::kF32);
  ops().matmul(Tensor({0, 2, 2}, DType::kF32), false, Tensor({0, 2, 2}, DType::kF32), true,
               *no_batch);
  EXPECT_TRUE(no_batch.check());
}

TEST(ReferenceMatmul, ABatchIsAProductPerMatrix) {
  const Tensor a = random_normal({3, 5, 2}, DType::kF32, 2);
  const Tensor b = random_normal({3, 7, 5}, DType::kF32, 3);
  GuardedTensor c({3, 2, 7}, DType::kF32);
  ops().matmul(a, true, b, true, *c, 0.5F);
  for (int64_t i = 0; i < 3; ++i) {
    GuardedTensor one({2, 7}, DType::kF32);
    ops().matmul(a.slice(i * 10, {5, 2}), true, b.slice(i * 35, {7, 5}), true, *one, 0.5F);
    EXPECT_TRUE(same_bits((*c).slice(i * 14, {2, 7}), *one));
  }
  EXPECT_TRUE(c.check());
}

TEST(ReferenceMatmul, SumsInDoubleAndRoundsOnce) {
  // 256 + 1 + ... + 1 - 256: sums in bf16 or f32 lose the ones (256 * 2^24 + 1 is not an f32).
  std::vector<double> a(18, 1);
  a.front() = 0x1p40;
  a.back() = -0x1p40;
  for (const DType in : {DType::kF32, DType::kBf16}) {
    for (const DType result : {DType::kF32, in}) {
      GuardedTensor c({1, 1}, result);
      ops().matmul(tensor_from(a, {1, 18}, in), false,
                   tensor_from(std::vector<double>(18, 1), {18, 1}, in), false, *c);
      EXPECT_EQ(to_doubles(*c), (std::vector<double>{16}));
    }
  }
}

TEST(ReferenceMatmul, TheNumberOfThreadsDoesNotChangeTheResult) {
  const int before = num_threads();
  const Tensor a = random_normal({37, 61}, DType::kF32, 4);
  const Tensor b = random_normal({67, 61}, DType::kF32, 5);
  std::vector<Tensor> results;
  for (const int threads : {1, 3}) {
    set_num_threads(threads);
    GuardedTensor c({37, 67}, DType::kF32);
    ops().matmul(a, false, b, true, *c);
    EXPECT_TRUE(c.check());
    results.push_back((*c).clone());
  }
  set_num_threads(before);
  EXPECT_TRUE(same_bits(results[1], results[0]));
}

}  // namespace
}  // namespace nanochat
