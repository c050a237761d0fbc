// The fast backends' matrix products against the reference: oneDNN's, the widened ones, our own and
// cuBLAS's.
#include <cmath>
#include <limits>

#include "ops/cpu/isa.h"
#include "ops/op_case.h"

namespace nanochat::test {
namespace {

constexpr uint64_t kSeed = 31337;

struct Product {
  int64_t batch, M, N, K;
  bool transpose_a = false, transpose_b = false;
  DType in = DType::kF32, out = DType::kF32;
  float alpha = 1, beta = 0;
  Epilogue epilogue = Epilogue::kNone;
};

Shape shape_of(int64_t batch, int64_t rows, int64_t columns, bool transposed) {
  if (transposed) std::swap(rows, columns);
  return batch > 0 ? Shape{batch, rows, columns} : Shape{rows, columns};
}

/// batch 0: rank 2.
OpCase case_of(const Product& p) {
  const Tensor a = random_normal(shape_of(p.batch, p.M, p.K, p.transpose_a), p.in, kSeed);
  const Tensor b = random_normal(shape_of(p.batch, p.K, p.N, p.transpose_b), p.in, kSeed + 1);
  // beta == 0 leaves c as NaN: check_op fills what is not updated.
  Tolerance tolerance = sum_tolerance(p.out, p.K + 2);
  if (p.out == DType::kBf16) tolerance.rel_of_max += 0x1p-7;
  if (p.epilogue == Epilogue::kReluSquared) tolerance.rel_of_max *= 2;
  tolerance.abs += 1e-6 * std::abs(p.alpha) * std::sqrt(static_cast<double>(p.K));
  return {.name = fmt::format(
              "batch {} M {} N {} K {} t {}{} {} -> {} alpha {} beta {} epilogue {}", p.batch, p.M,
              p.N, p.K, p.transpose_a ? 't' : 'n', p.transpose_b ? 't' : 'n', name_of(p.in),
              name_of(p.out), p.alpha, p.beta, static_cast<int>(p.epilogue)),
          .in = {a, b},
          .out = {{.initial = random_normal(shape_of(p.batch, p.M, p.N, false), p.out, kSeed + 2),
                   .is_updated = p.beta != 0,
                   .tolerance = tolerance}},
          .run =
              [p](Backend& backend, const OpCase::Tensors& in, OpCase::Tensors& out) {
                backend.matmul(in[0], p.transpose_a, in[1], p.transpose_b, out[0], p.alpha, p.beta,
                               p.epilogue);
              },
          .any_thread_count = false,
          .thread_counts = {1}};  // more threads than cores would spin against one another
}

class FastMatmulTest : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    backend_ = backend_for(GetParam());
    if (!backend_) GTEST_SKIP() << "this machine has no " << GetParam();
  }
  Backend& backend() { return *backend_; }

  /// Every transpose and dtype.
  void check_all(Product p) {
    for (const bool transpose_a : {false, true}) {
      for (const bool transpose_b : {false, true}) {
        for (const auto& [in, out] : {std::pair{DType::kF32, DType::kF32},
                                      {DType::kBf16, DType::kF32},
                                      {DType::kBf16, DType::kBf16},
                                      {DType::kF32, DType::kBf16}}) {
          p.transpose_a = transpose_a;
          p.transpose_b = transpose_b;
          p.in = in;
          p.out = out;
          check_op(case_of(p), backend());
        }
      }
    }
  }

 private:
  std::unique_ptr<Backend> backend_;
};
INSTANTIATE_TEST_SUITE_P(Isa, FastMatmulTest, ::testing::ValuesIn(kFastBackends),
                         [](const auto& test) { return std::string(test.param); });

TEST_P(FastMatmulTest, AgreesOnAwkwardShapes) {
  constexpr int64_t kShapes[][3] = {{1, 1, 1},      {1, 17, 3},   {17, 1, 5},   {5, 7, 1},
                                    {15, 16, 17},   {31, 33, 64}, {2, 67, 131}, {64, 128, 256},
                                    {65, 129, 257}, {97, 31, 300}};
  for (const auto& [M, N, K] : kShapes) check_all({.batch = 0, .M = M, .N = N, .K = K});
}

TEST_P(FastMatmulTest, AgreesOnBatches) {
  check_all({.batch = 1, .M = 5, .N = 6, .K = 7});
  check_all({.batch = 3, .M = 17, .N = 33, .K = 15});
  check_all({.batch = 4, .M = 64, .N = 64, .K = 64});
}

TEST_P(FastMatmulTest, ScalesAccumulatesAndSquares) {
  for (const Epilogue epilogue : {Epilogue::kNone, Epilogue::kReluSquared}) {
    for (const float alpha : {1.0F, -0.5F, 3.4445F}) {
      for (const float beta : {0.0F, 1.0F, -2.0315F}) {
        check_all({.batch = 0,
                   .M = 19,
                   .N = 35,
                   .K = 40,
                   .alpha = alpha,
                   .beta = beta,
                   .epilogue = epilogue});
        check_all({.batch = 2,
                   .M = 6,
                   .N = 17,
                   .K = 9,
                   .alpha = alpha,
                   .beta = beta,
                   .epilogue = epilogue});
      }
    }
  }
}

// A gradient of weights whose columns lie pages apart is computed a few columns at a time: in one
// part, in several, and with a last part that is narrower.
TEST_P(FastMatmulTest, AgreesWhereColumnsLiePagesApart) {
  for (const int64_t M : {1024, 3072}) {
    for (const int64_t K : {64, 300}) {
      check_all({.batch = 0, .M = M, .N = 65, .K = K, .alpha = -0.5F, .beta = 1});
    }
  }
  check_all({.batch = 0, .M = 2048, .N = 64, .K = 1500, .epilogue = Epilogue::kReluSquared});
}

TEST_P(FastMatmulTest, NothingTimesNothing) {
  for (const float beta : {0.0F, 1.0F, 0.5F}) {
    for (const Epilogue epilogue : {Epilogue::kNone, Epilogue::kReluSquared}) {
      for (const int64_t batch : {0, 2}) {
        check_all({.batch = batch, .M = 3, .N = 5, .K = 0, .beta = beta, .epilogue = epilogue});
        check_all({.batch = batch, .M = 0, .N = 5, .K = 4, .beta = beta, .epilogue = epilogue});
        check_all({.batch = batch, .M = 3, .N = 0, .K = 4, .beta = beta, .epilogue = epilogue});
      }
    }
  }
}

TEST_P(FastMatmulTest, NanAndInfinityReachTheirRows) {
  for (const DType in : {DType::kF32, DType::kBf16}) {
    for (const float bad :
         {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
      for (const Epilogue epilogue : {Epilogue::kNone, Epilogue::kReluSquared}) {
        Tensor x = random_uniform({9, 33}, DType::kF32, kSeed + 3, 0.5, 1);
        x.data<float>()[4 * 33 + 20] = bad;
        const Tensor a = converted(x, in);
        const Tensor b = random_uniform({33, 18}, in, kSeed + 4, 0.5, 1);
        for (const DType out : {DType::kF32, DType::kBf16}) {
          Tensor c({9, 18}, out);
          backend().matmul(a, false, b, false, c, 1, 0, epilogue);
          const std::vector<double> y = to_doubles(c);
          for (size_t i = 0; i < y.size(); ++i) {
            EXPECT_EQ(std::isfinite(y[i]), i / 18 != 4) << "element " << i << " is " << y[i];
          }
        }
      }
    }
  }
}

TEST_P(FastMatmulTest, ASecondCallOfAShapeUsesNoMoreMemory) {
  const Tensor a = random_normal({70, 90}, DType::kBf16, kSeed + 5);
  const Tensor b = random_normal({50, 90}, DType::kBf16, kSeed + 6);
  Tensor c({70, 50}, DType::kBf16);
  backend().matmul(a, false, b, true, c);
  const int64_t bytes = backend().workspace_bytes();
  const Tensor first = c.clone();
  backend().matmul(a, false, b, true, c);
  EXPECT_EQ(backend().workspace_bytes(), bytes);
  EXPECT_TRUE(same_bits(c, first));
}

// What decoding in a batch, and prefill in chunks, rest on. (oneDNN's AVX2 kernels, which it takes
// where there is no AVX-512, do not have this: the last rows of a product may differ in a bit.)
TEST_P(FastMatmulTest, ARowDoesNotDependOnTheRowsBesideIt) {
  if (std::string(GetParam()) == "avx2" && !cpu::is_supported(cpu::Isa::kAvx512Bf16)) {
    GTEST_SKIP() << "not true of oneDNN without AVX-512";
  }
  if (std::string(GetParam()) == "cuda")
    GTEST_SKIP() << "cuBLAS takes other algorithms for other M";
  for (const DType act : {DType::kF32, DType::kBf16}) {
    for (const bool transpose_b : {false, true}) {
      for (const auto& [N, K] : {std::pair<int64_t, int64_t>{384, 384}, {131, 67}, {50, 1000}}) {
        const Tensor a = random_normal({160, K}, act, kSeed + 9);
        const Tensor b = random_normal(shape_of(0, K, N, transpose_b), act, kSeed + 10);
        Tensor whole({160, N}, act);
        backend().matmul(a, false, b, transpose_b, whole);
        for (const int64_t M : {1, 2, 7, 16, 63, 128}) {
          SCOPED_TRACE(fmt::format("{} {} N {} K {} M {}", name_of(act), transpose_b, N, K, M));
          Tensor part({M, N}, act);
          backend().matmul(a.rows(32, 32 + M), false, b, transpose_b, part);
          EXPECT_TRUE(same_bits(part, whole.rows(32, 32 + M).clone()));
        }
      }
    }
  }
}

// Serving and training must not slow down, nor grow, when every batch has another number of rows.
TEST_P(FastMatmulTest, ThousandsOfShapesAreCorrectToTheLast) {
  constexpr int64_t kShapes = 1100;  // more than are kept
  const Tensor a = random_normal({kShapes, 3}, DType::kF32, kSeed + 7);
  const Tensor b = random_normal({3, 2}, DType::kF32, kSeed + 8);
  Tensor expected({kShapes, 2}, DType::kF32);
  reference_backend().matmul(a, false, b, false, expected);
  for (int64_t M = 1; M <= kShapes; ++M) {
    Tensor c({M, 2}, DType::kF32);
    backend().matmul(a.rows(0, M), false, b, false, c);
    ASSERT_TRUE(is_close(c, expected.rows(0, M), {.abs = 1e-5})) << M;
  }
}

}  // namespace
}  // namespace nanochat::test
