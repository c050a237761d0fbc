// The fast backends' own kernels against the reference: every instruction set that this CPU has,
// and the GPU.
#include <limits>

#include "ops/op_case.h"

namespace nanochat::test {
namespace {

using Tensors = OpCase::Tensors;

// Either side of one vector of 4, 8 and 16, primes, and enough for several threads.
constexpr int64_t kSizes[] = {0, 1, 3, 4, 7, 8, 9, 15, 16, 17, 31, 33, 768, 40'009};
constexpr int64_t kRows[] = {0, 1, 2, 17};
constexpr int64_t kColumns[] = {1, 2, 15, 16, 17, 33, 67, 768, 1031};
constexpr DType kActs[] = {DType::kF32, DType::kBf16};
constexpr uint64_t kSeed = 20240611;

Tensor blank(Shape shape, DType dtype) { return Tensor(shape, dtype); }

class FastRowsTest : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    backend_ = backend_for(GetParam());
    if (!backend_) GTEST_SKIP() << "this machine has no " << GetParam();
  }
  Backend& backend() { return *backend_; }
  void check(const OpCase& c) { check_op(c, backend()); }

 private:
  std::unique_ptr<Backend> backend_;
};
INSTANTIATE_TEST_SUITE_P(Isa, FastRowsTest, ::testing::ValuesIn(kFastBackends),
                         [](const auto& test) { return std::string(test.param); });

TEST_P(FastRowsTest, ZeroAndCopyReachEveryByte) {
  for (const int64_t n : kSizes) {
    for (const DType dtype : {DType::kF64, DType::kF32, DType::kBf16, DType::kI32, DType::kU8}) {
      check({.name = fmt::format("zero {} {}", name_of(dtype), n),
             .out = {{.initial = blank({n}, dtype)}},
             .run = [](Backend& b, const Tensors&, Tensors& out) { b.zero(out[0]); }});
    }
    for (const DType dtype : kActs) {
      check({.name = fmt::format("copy {} {}", name_of(dtype), n),
             .in = {random_normal({n}, dtype, kSeed)},
             .out = {{.initial = blank({n}, dtype)}},
             .run = [](Backend& b, const Tensors& in, Tensors& out) { b.copy(in[0], out[0]); }});
    }
  }
}

TEST_P(FastRowsTest, CastRoundsAsTheReferenceDoes) {
  constexpr DType kFloats[] = {DType::kF64, DType::kF32, DType::kBf16};
  for (const int64_t n : kSizes) {
    for (const DType from : kFloats) {
      for (const DType to : kFloats) {
        check({.name = fmt::format("cast {} to {} {}", name_of(from), name_of(to), n),
               .in = {random_normal({n}, from, kSeed + 1)},
               .out = {{.initial = blank({n}, to)}},  // exact
               .run = [](Backend& b, const Tensors& in, Tensors& out) { b.cast(in[0], out[0]); }});
      }
    }
  }
}

TEST_P(FastRowsTest, CastToBf16HandlesTiesSubnormalsInfinitiesAndNan) {
  std::vector<float> values;
  for (const uint32_t bits :
       {0x3f808000U, 0x3f818000U, 0x3f808001U, 0x3f807fffU, 0x00000001U, 0x00008000U, 0x00008001U,
        0x007fffffU, 0x80018000U, 0x7f7fffffU, 0x7f800000U, 0xff800000U, 0x80000000U, 0x7f800001U,
        0xffc00000U, 0x7fffffffU, 0x3f800000U}) {
    values.push_back(std::bit_cast<float>(bits));
  }
  const auto n = static_cast<int64_t>(values.size());
  const Tensor x = tensor_of<float>(values, {n});
  Tensor expected({n}, DType::kBf16), actual({n}, DType::kBf16);
  reference_backend().cast(x, expected);
  backend().cast(x, actual);
  EXPECT_TRUE(same_bits(actual, expected));
}

TEST_P(FastRowsTest, ElementwiseOperationsAgree) {
  for (const int64_t n : kSizes) {
    for (const DType act : kActs) {
      const Tensor a = random_normal({n}, act, kSeed + 2), b = random_normal({n}, act, kSeed + 3);
      const std::string which = fmt::format("{} {}", name_of(act), n);
      check({.name = "add " + which,
             .in = {a, b},
             .out = {{.initial = blank({n}, act), .tolerance = element_tolerance(act)}},
             .run = [](Backend& be, const Tensors& in,
                       Tensors& out) { be.add(in[0], in[1], out[0]); },
             .aliases = {{0, 0}, {0, 1}}});
      check({.name = "sign " + which,
             .in = {a},
             .out = {{.initial = blank({n}, act)}},
             .run = [](Backend& be, const Tensors& in, Tensors& out) { be.sign(in[0], out[0]); },
             .aliases = {{0, 0}}});
      check({.name = "relu_squared " + which,
             .in = {a},
             .out = {{.initial = blank({n}, act), .tolerance = element_tolerance(act)}},
             .run = [](Backend& be, const Tensors& in,
                       Tensors& out) { be.relu_squared(in[0], out[0]); },
             .aliases = {{0, 0}}});
      const Tensor squares = random_uniform({n}, act, kSeed + 4, 0, 3);
      check({.name = "relu_squared_backward " + which,
             .in = {a, squares},
             .out = {{.initial = blank({n}, act), .tolerance = element_tolerance(act)}},
             .run = [](Backend& be, const Tensors& in,
                       Tensors& out) { be.relu_squared_backward(in[0], in[1], out[0]); },
             .aliases = {{0, 0}}});
    }
  }
}

TEST_P(FastRowsTest, AxpbyAgreesInEveryMixtureOfDtypes) {
  constexpr DType kFloats[] = {DType::kF64, DType::kF32, DType::kBf16};
  for (const int64_t n : {0, 1, 17, 33, 20'011}) {
    for (const DType x_type : kFloats) {
      for (const DType y_type : kFloats) {
        for (const float beta : {0.0F, 1.0F, -0.75F}) {
          check({.name = fmt::format("axpby {} {} {} beta {}", name_of(x_type), name_of(y_type), n,
                                     beta),
                 .in = {random_normal({n}, x_type, kSeed + 5)},
                 .out = {{.initial = random_normal({n}, y_type, kSeed + 6),
                          .is_updated = beta != 0,
                          .tolerance = element_tolerance(y_type)}},
                 .run = [beta](Backend& b, const Tensors& in, Tensors& out) {
                   b.axpby(0.3F, in[0], beta, out[0]);
                 }});
        }
      }
    }
  }
}

TEST_P(FastRowsTest, SoftcapIsAccurateFromTinyToHuge) {
  for (const int64_t n : {1, 16, 17, 769}) {
    for (const DType x_type : kActs) {
      for (const DType y_type : {x_type, DType::kF32}) {
        for (const double scale : {1e-30, 1e-3, 1.0, 12.0, 300.0, 1e30}) {
          check(
              {.name = fmt::format("softcap {} {} {} times {}", name_of(x_type), name_of(y_type), n,
                                   scale),
               .in = {random_normal({n}, x_type, kSeed + 7, scale)},
               .out = {{.initial = blank({n}, y_type), .tolerance = element_tolerance(y_type, 12)}},
               .run = [](Backend& b, const Tensors& in,
                         Tensors& out) { b.softcap(in[0], 15, out[0]); },
               .aliases = x_type == y_type ? std::vector<std::pair<int, int>>{{0, 0}}
                                           : std::vector<std::pair<int, int>>{}});
        }
      }
    }
  }
}

// Each element against its own size, so that small ones are not excused by large neighbours.
TEST_P(FastRowsTest, TanhHasARelativeErrorBelow4e7) {
  std::vector<float> values;
  for (float x = 1e-6F; x < 12; x *= 1.0007F) {
    values.push_back(x);
    values.push_back(-x);
  }
  const auto n = static_cast<int64_t>(values.size());
  const Tensor x = tensor_of<float>(values, {n});
  Tensor y({n}, DType::kF32);
  backend().softcap(x, 1, y);
  double worst = 0;
  for (int64_t i = 0; i < n; ++i) {
    const double expected = std::tanh(double{values[static_cast<size_t>(i)]});
    worst = std::max(worst, std::abs(double{y.data<float>()[i]} / expected - 1));
  }
  EXPECT_LT(worst, 4e-7);
}

TEST_P(FastRowsTest, NanAndInfinityAreNotLost) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float inf = std::numeric_limits<float>::infinity();
  for (const DType act : kActs) {
    for (const float bad : {nan, inf}) {
      for (const int64_t at : {0, 5, 18}) {  // in a whole vector, and past the last one
        Tensor f = random_normal({1, 19}, DType::kF32, kSeed + 8);
        f.data<float>()[at] = bad;
        const Tensor x = converted(f, act);
        Tensor y({1, 19}, act), rstd({1}, DType::kF32);
        const auto is_finite_at = [&](const Tensor& t, int64_t i) {
          return std::isfinite(to_doubles(t)[static_cast<size_t>(i)]);
        };
        backend().relu_squared(x, y);
        EXPECT_FALSE(is_finite_at(y, at));
        backend().add(x, x, y);
        EXPECT_FALSE(is_finite_at(y, at));
        backend().rms_norm(x, y, rstd, 1e-6F);
        EXPECT_FALSE(is_finite_at(y, at));
        Tensor sum({1}, DType::kF64);
        backend().dot(x, x, 0, sum);
        EXPECT_FALSE(is_finite_at(sum, 0));
        if (bad != bad) {
          backend().softcap(x, 15, y);
          EXPECT_FALSE(is_finite_at(y, at));
        }
      }
    }
  }
}

TEST_P(FastRowsTest, EmbeddingAndItsBackwardAgree) {
  constexpr int64_t V = 23;
  for (const int64_t N : {0, 1, 2, 61}) {
    for (const int64_t C : kColumns) {
      const Tensor ids = random_ids(N, V, kSeed + 9);
      for (const auto& [w_type, act] : {std::pair{DType::kF32, DType::kF32},
                                        {DType::kF32, DType::kBf16},
                                        {DType::kBf16, DType::kBf16}}) {
        check(
            {.name = fmt::format("embedding {} {} N {} C {}", name_of(w_type), name_of(act), N, C),
             .in = {random_normal({V, C}, w_type, kSeed + 10), ids},
             .out = {{.initial = blank({N, C}, act)}},  // exact
             .run = [](Backend& b, const Tensors& in, Tensors& out) {
               b.embedding(in[0], in[1], out[0]);
             }});
      }
      for (const DType act : kActs) {
        check({.name = fmt::format("embedding_backward {} N {} C {}", name_of(act), N, C),
               .in = {random_normal({N, C}, act, kSeed + 11), ids},
               .out = {{.initial = random_normal({V, C}, DType::kF32, kSeed + 12),
                        .is_updated = true,
                        .tolerance = sum_tolerance(DType::kF32, N + 1)}},
               .run = [](Backend& b, const Tensors& in, Tensors& out) {
                 b.embedding_backward(in[0], in[1], out[0]);
               }});
      }
    }
  }
}

TEST_P(FastRowsTest, RmsNormAndItsBackwardAgree) {
  for (const int64_t N : kRows) {
    for (const int64_t C : kColumns) {
      for (const DType act : kActs) {
        const std::string which = fmt::format("{} N {} C {}", name_of(act), N, C);
        const Tensor x = random_normal({N, C}, act, kSeed + 13, 3);
        Tensor y({N, C}, act), rstd({N}, DType::kF32);
        check({.name = "rms_norm " + which,
               .in = {x},
               .out = {{.initial = y, .tolerance = element_tolerance(act)},
                       {.initial = rstd, .tolerance = element_tolerance(DType::kF32)}},
               .run = [](Backend& b, const Tensors& in,
                         Tensors& out) { b.rms_norm(in[0], out[0], out[1], 1e-3F); },
               .aliases = {{0, 0}}});

        reference_backend().rms_norm(x, y, rstd, 1e-3F);
        const Tensor dy = random_normal({N, C}, act, kSeed + 14);
        // dy - y mean(dy y) cancels, wholly when C = 1: judge it by the size of dy.
        Tolerance dx_tolerance = element_tolerance(act, 16);
        dx_tolerance.abs = 16 * unit_roundoff(DType::kF32);
        const OpCase::Output dx = {.initial = blank({N, C}, act), .tolerance = dx_tolerance};
        check({.name = "rms_norm_backward " + which,
               .in = {dy, y, rstd},
               .out = {dx},
               .run = [](Backend& b, const Tensors& in,
                         Tensors& out) { b.rms_norm_backward(in[0], in[1], in[2], {}, out[0]); },
               .aliases = {{0, 0}}});
        check({.name = "rms_norm_backward with a residual " + which,
               .in = {dy, y, rstd, random_normal({N, C}, act, kSeed + 15)},
               .out = {dx},
               .run = [](Backend& b, const Tensors& in,
                         Tensors& out) { b.rms_norm_backward(in[0], in[1], in[2], in[3], out[0]); },
               .aliases = {{0, 0}, {0, 3}}});
      }
    }
  }
}

TEST_P(FastRowsTest, RopeQkNormAndItsBackwardAgree) {
  for (const int64_t D : {2, 6, 16, 30, 34, 64, 128}) {
    for (const auto& [n_head, n_kv_head] : {std::pair{1, 1}, {3, 3}, {6, 2}}) {
      const TokenRuns runs = random_runs(6, 13, kSeed + 16 + D, 20);
      const AttentionShape shape{.n_head = n_head, .n_kv_head = n_kv_head, .head_dim = D};
      const int64_t N = runs.n_tokens(), P = runs.end_position() + 1;
      // Not quite a circle, as tables rounded to bf16 are not.
      const Tensor cos = random_uniform({P, D / 2}, DType::kF32, kSeed + 17, -1, 1);
      const Tensor sin = random_uniform({P, D / 2}, DType::kF32, kSeed + 18, -1, 1);
      for (const DType act : kActs) {
        const std::string which =
            fmt::format("{} D {} heads {}/{}", name_of(act), D, n_head, n_kv_head);
        Tensor qkv = random_normal({N, shape.qkv_dim()}, act, kSeed + 19);
        Tensor rstd({N, n_head + n_kv_head}, DType::kF32);
        // With D = 2 a turn can shorten a head to nothing, and rstd then magnifies the rounding.
        constexpr float kEps = 0.05F;
        check(
            {.name = "rope_qk_norm " + which,
             .in = {cos, sin},
             .out = {{.initial = qkv, .is_updated = true, .tolerance = element_tolerance(act, 16)},
                     {.initial = rstd, .tolerance = element_tolerance(DType::kF32, 16)}},
             .run = [&](Backend& b, const Tensors& in, Tensors& out) {
               b.rope_qk_norm(out[0], runs, shape, in[0], in[1], 1.2F, kEps, out[1]);
             }});
        reference_backend().rope_qk_norm(qkv, runs, shape, cos, sin, 1.2F, kEps, rstd);
        check({.name = "rope_qk_norm_backward " + which,
               .in = {qkv, cos, sin, rstd},
               .out = {{.initial = random_normal({N, shape.qkv_dim()}, act, kSeed + 20),
                        .is_updated = true,
                        .tolerance = element_tolerance(act, 32)}},
               .run = [&](Backend& b, const Tensors& in, Tensors& out) {
                 b.rope_qk_norm_backward(out[0], in[0], runs, shape, in[1], in[2], 1.2F, in[3]);
               }});
      }
    }
  }
}

TEST_P(FastRowsTest, ReductionsAgreeToTheDigitsOfDouble) {
  const Tolerance in_double{.abs = 1e-300, .rel_of_max = 1e-11};
  for (const int64_t n : {0, 1, 17, 4095, 4096, 4097, 40'009}) {
    for (const DType a_type : {DType::kF64, DType::kF32, DType::kBf16}) {
      for (const DType b_type : {DType::kF64, DType::kF32, DType::kBf16}) {
        for (const double beta : {0.0, 1.0, 0.5}) {
          check({.name =
                     fmt::format("dot {} {} {} beta {}", name_of(a_type), name_of(b_type), n, beta),
                 .in = {random_uniform({n}, a_type, kSeed + 21, 0.5, 1),
                        random_uniform({n}, b_type, kSeed + 22, 0.5, 1)},
                 .out = {{.initial = random_normal({1}, DType::kF64, kSeed + 23),
                          .is_updated = beta != 0,
                          .tolerance = in_double}},
                 .run = [beta](Backend& b, const Tensors& in, Tensors& out) {
                   b.dot(in[0], in[1], beta, out[0]);
                 }});
        }
      }
    }
  }
  for (const DType dtype : kActs) {
    for (const Shape& shape : {Shape{0, 3, 4}, Shape{1, 1, 1}, Shape{3, 17, 31}, Shape{2, 96, 96},
                               Shape{5, 0, 7}, Shape{3, 64, 64}}) {
      const Tensor x = random_normal(shape, dtype, kSeed + 24);
      const int64_t B = shape[0];
      check({.name = fmt::format("squared_norms {} {}", name_of(dtype), shape),
             .in = {x},
             .out = {{.initial = blank({B}, DType::kF64), .tolerance = in_double}},
             .run = [](Backend& b, const Tensors& in, Tensors& out) {
               b.squared_norms(in[0], out[0]);
             }});
      check({.name = fmt::format("normalize_matrices {} {}", name_of(dtype), shape),
             .in = {random_uniform({B}, DType::kF64, kSeed + 25, 0.01, 9)},
             .out = {{.initial = x, .is_updated = true, .tolerance = element_tolerance(dtype)}},
             .run = [](Backend& b, const Tensors& in, Tensors& out) {
               b.normalize_matrices(out[0], in[0], 1e-3F);
             }});
    }
  }
}

TEST_P(FastRowsTest, ClipScaleAgreesAndStopsAtBrokenNorms) {
  for (const double norm_squared :
       {0.0, 0.25, 1.0, 9.0, 1e300, std::numeric_limits<double>::infinity(),
        std::numeric_limits<double>::quiet_NaN()}) {
    check({.name = fmt::format("clip_scale {}", norm_squared),
           .in = {tensor_of<double>(std::vector{norm_squared}, {1})},
           .out = {{.initial = blank({1}, DType::kF32)}},
           .run = [](Backend& b, const Tensors& in, Tensors& out) {
             b.clip_scale(in[0], 1.5F, out[0]);
           }});
  }
}

TEST_P(FastRowsTest, OptimizerStepsAgree) {
  constexpr DType kF32 = DType::kF32;
  for (const int64_t n : kSizes) {
    for (const bool scaled : {false, true}) {
      const Tensor scale = scaled ? tensor_of<float>(std::vector{0.37F}, {1}) : Tensor();
      const Tensor g = random_normal({n}, kF32, kSeed + 26);
      const OpCase::Output m = {.initial = random_normal({n}, kF32, kSeed + 27),
                                .is_updated = true,
                                .tolerance = element_tolerance(kF32)};
      const AdamWParams params{.lr = 0.02F,
                               .beta1 = 0.8F,
                               .beta2 = 0.95F,
                               .eps = 1e-8F,
                               .weight_decay = 0.1F,
                               .step = 7};
      check({.name = fmt::format("adamw {} scaled {}", n, scaled),
             .in = {g, scale},
             .out = {{.initial = random_normal({n}, kF32, kSeed + 28),
                      .is_updated = true,
                      .tolerance = element_tolerance(kF32)},
                     m,
                     {.initial = random_uniform({n}, kF32, kSeed + 29, 0, 2),
                      .is_updated = true,
                      .tolerance = element_tolerance(kF32)}},
             .run = [params](Backend& b, const Tensors& in, Tensors& out) {
               b.adamw(out[0], in[0], out[1], out[2], in[1], params);
             }});
      for (const DType u_type : kActs) {
        check({.name = fmt::format("nesterov {} {} scaled {}", name_of(u_type), n, scaled),
               .in = {g, scale},
               .out = {m, {.initial = blank({n}, u_type), .tolerance = element_tolerance(u_type)}},
               .run = [](Backend& b, const Tensors& in, Tensors& out) {
                 b.nesterov(in[0], out[0], in[1], 0.95F, out[1]);
               }});
      }
    }
  }
}

}  // namespace
}  // namespace nanochat::test
