// Softcap cross-entropy of the fast backends against the reference.
#include <cmath>
#include <limits>

#include "ops/op_case.h"

namespace nanochat::test {
namespace {

constexpr uint64_t kSeed = 77001;

class FastCrossEntropyTest : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    backend_ = backend_for(GetParam());
    if (!backend_) GTEST_SKIP() << "this machine has no " << GetParam();
  }
  Backend& backend() { return *backend_; }

  void check(int64_t N, int64_t V, DType act, float cap, double scale) {
    const Tensor logits = random_normal({N, V}, act, kSeed, scale);
    const Tensor targets = random_ids(N, V, kSeed + 1, 0.2);
    Tensor weight = random_uniform({N}, DType::kF32, kSeed + 2, 0.5, 1.5);
    if (N > 3) weight.data<float>()[3] = 0;
    // z carries the rounding of one product with cap.
    const double z_error = 16 * unit_roundoff(DType::kF32) * std::min<double>(cap, 6 * scale + 1);
    const Tolerance loss_tolerance{.abs = 2e-6 + z_error, .rel_of_max = 2e-7};
    Tolerance gradient_tolerance = element_tolerance(act, 16);
    gradient_tolerance.rel_of_max += 2 * z_error;
    gradient_tolerance.abs = 8 * unit_roundoff(DType::kF32);  // softmax - 1 cancels
    for (const bool with_gradient : {false, true}) {
      check_op({.name = fmt::format("{} N {} V {} cap {} scale {} gradient {}", name_of(act), N, V,
                                    cap, scale, with_gradient),
                .in = {targets, weight},
                .out = {{.initial = logits,
                         .is_updated = true,
                         .tolerance = with_gradient ? gradient_tolerance : Tolerance{}},
                        {.initial = Tensor({N}, DType::kF32), .tolerance = loss_tolerance}},
                .run =
                    [=](Backend& b, const OpCase::Tensors& in, OpCase::Tensors& out) {
                      b.softcap_cross_entropy(out[0], in[0], in[1], cap, with_gradient, out[1]);
                    }},
               backend());
    }
  }

 private:
  std::unique_ptr<Backend> backend_;
};
INSTANTIATE_TEST_SUITE_P(Isa, FastCrossEntropyTest, ::testing::ValuesIn(kFastBackends),
                         [](const auto& test) { return std::string(test.param); });

TEST_P(FastCrossEntropyTest, AgreesOnAwkwardShapes) {
  for (const DType act : {DType::kF32, DType::kBf16}) {
    for (const int64_t N : {0, 1, 2, 17}) {
      for (const int64_t V : {1, 2, 4, 7, 15, 16, 17, 33, 131, 2049}) check(N, V, act, 15, 3);
    }
    check(3, 32768, act, 15, 3);
  }
}

TEST_P(FastCrossEntropyTest, AgreesForAnyCapAndAnySizeOfLogits) {
  for (const DType act : {DType::kF32, DType::kBf16}) {
    for (const float cap : {0.1F, 1.0F, 15.0F, 30.0F, 40.0F, 40.5F, 80.0F, 1000.0F, 1e6F}) {
      for (const double scale : {1e-3, 1.0, 20.0, 500.0}) check(7, 67, act, cap, scale);
    }
  }
}

TEST_P(FastCrossEntropyTest, LossesOfF32LogitsAreGoodTo1e5) {
  constexpr int64_t N = 8, V = 32768;
  const Tensor targets = random_ids(N, V, kSeed + 3);
  const Tensor weight = random_uniform({N}, DType::kF32, kSeed + 4, 1, 1);
  for (const double scale : {0.02, 1.0, 8.0}) {
    Tensor logits = random_normal({N, V}, DType::kF32, kSeed + 5, scale);
    Tensor expected({N}, DType::kF32), actual({N}, DType::kF32);
    reference_backend().softcap_cross_entropy(logits, targets, weight, 15, false, expected);
    backend().softcap_cross_entropy(logits, targets, weight, 15, false, actual);
    expect_close(actual, expected, {.abs = 1e-5});
  }
}

// A row that is masked out must not be able to poison the step, whatever it holds.
TEST_P(FastCrossEntropyTest, RowsWithoutTargetOrWeightGetNoGradientEvenFromNan) {
  for (const DType act : {DType::kF32, DType::kBf16}) {
    const float nan = std::numeric_limits<float>::quiet_NaN();
    Tensor logits = converted(tensor_of<float>(std::vector(3 * 19, nan), {3, 19}), act);
    const Tensor targets = tensor_of<int32_t>(std::vector{-1, 4, -1}, {3});
    const Tensor weight = tensor_of<float>(std::vector{1.0F, 0.0F, 0.0F}, {3});
    Tensor loss({3}, DType::kF32);
    backend().softcap_cross_entropy(logits, targets, weight, 15, true, loss);
    for (const double gradient : to_doubles(logits)) EXPECT_EQ(gradient, 0);
    EXPECT_EQ(loss.data<float>()[0], 0);
    EXPECT_TRUE(std::isnan(loss.data<float>()[1]));
    EXPECT_EQ(loss.data<float>()[2], 0);
  }
}

TEST_P(FastCrossEntropyTest, ANanLogitMakesTheLossAndTheGradientNan) {
  constexpr int64_t V = 37;
  const Tensor targets = tensor_of<int32_t>(std::vector{3}, {1});
  const Tensor weight = tensor_of<float>(std::vector{1.0F}, {1});
  for (const DType act : {DType::kF32, DType::kBf16}) {
    for (const float cap : {15.0F, 1000.0F}) {
      for (const int64_t at : {0, 3, 17, 36}) {
        for (const bool with_gradient : {false, true}) {
          SCOPED_TRACE(fmt::format("{} cap {} logit {}", name_of(act), cap, at));
          Tensor x = random_normal({1, V}, DType::kF32, kSeed + 6);
          x.data<float>()[at] = std::numeric_limits<float>::quiet_NaN();
          Tensor logits = converted(x, act);
          Tensor loss({1}, DType::kF32);
          backend().softcap_cross_entropy(logits, targets, weight, cap, with_gradient, loss);
          EXPECT_TRUE(std::isnan(loss.data<float>()[0])) << loss.data<float>()[0];
          if (!with_gradient) continue;
          for (const double gradient : to_doubles(logits)) EXPECT_TRUE(std::isnan(gradient));
        }
      }
    }
  }
}

TEST_P(FastCrossEntropyTest, AnInfiniteLogitIsAtTheCap) {
  constexpr int64_t V = 37;
  constexpr float kInf = std::numeric_limits<float>::infinity();
  const Tensor targets = tensor_of<int32_t>(std::vector{3}, {1});
  const Tensor weight = tensor_of<float>(std::vector{1.0F}, {1});
  for (const DType act : {DType::kF32, DType::kBf16}) {
    for (const float cap : {15.0F, 1000.0F}) {
      for (const float infinite : {kInf, -kInf}) {
        for (const int64_t at : {0, 3, 17, 36}) {
          SCOPED_TRACE(fmt::format("{} cap {} logit {} = {}", name_of(act), cap, at, infinite));
          Tensor x = random_normal({1, V}, DType::kF32, kSeed + 7);
          x.data<float>()[at] = infinite;
          Tensor logits = converted(x, act), expected_logits = converted(x, act);
          Tensor loss({1}, DType::kF32), expected({1}, DType::kF32);
          reference_backend().softcap_cross_entropy(expected_logits, targets, weight, cap, true,
                                                    expected);
          backend().softcap_cross_entropy(logits, targets, weight, cap, true, loss);
          EXPECT_TRUE(std::isfinite(expected.data<float>()[0]));
          expect_close(loss, expected, {.abs = 1e-5, .rel_of_max = 1e-6});
          expect_close(logits, expected_logits, {.abs = 2e-6, .rel_of_max = 2e-2});
        }
      }
    }
  }
}

}  // namespace
}  // namespace nanochat::test
