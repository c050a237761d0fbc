// Every backward pass of the reference against central differences of its forward, in double.
#include "support/gradient_check.h"

#include <cmath>
#include <initializer_list>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "ops/backend.h"
#include "support/compare.h"
#include "support/guarded.h"
#include "support/random.h"

namespace nanochat {
namespace {

using test::expect_close;
using test::GuardedTensor;
using test::numeric_gradient;
using test::projection;
using test::random_ids;
using test::random_normal;
using test::random_uniform;
using test::same_bits;

constexpr DType kF64 = DType::kF64;
// The differences themselves are good to 1e-9 or so of the largest gradient.
constexpr test::Tolerance kTolerance{.abs = 1e-9, .rel_of_max = 1e-7};

Backend& ops() { return reference_backend(); }

struct Rows {
  int64_t N, C;
};
constexpr Rows kAwkwardRows[] = {{1, 1}, {1, 7}, {3, 2}, {5, 13}, {2, 17}};

TEST(GradientCheck, TheComparatorRefusesAGradientThatIsSlightlyWrong) {
  const Tensor right = random_normal({3, 5}, kF64, 1);
  Tensor wrong = right.clone();
  EXPECT_TRUE(is_close(wrong, right, kTolerance));
  wrong.data<double>()[7] += 1e-5;
  EXPECT_FALSE(is_close(wrong, right, kTolerance));
  wrong.data<double>()[7] = std::nan("");
  EXPECT_FALSE(is_close(wrong, right, kTolerance));
  EXPECT_FALSE(is_close(right, wrong, kTolerance));
  EXPECT_FALSE(is_close(right.view({5, 3}), right, kTolerance));
}

TEST(GradientCheck, TheDifferencesRefuseABackwardWithAWrongFactor) {
  Tensor x = random_normal({11}, kF64, 2);
  const Tensor dy = random_normal({11}, kF64, 3);
  Tensor y({11}, kF64);
  Tensor dx({11}, kF64);
  const Tensor expected = numeric_gradient(x, [&] {
    ops().relu_squared(x, y);
    return projection(y, dy);
  });
  ops().relu_squared(x, y);
  ops().relu_squared_backward(dy, y, dx);
  EXPECT_TRUE(is_close(dx, expected, kTolerance));
  ops().axpby(0.001F, dx, 1, dx);
  EXPECT_FALSE(is_close(dx, expected, kTolerance));
}

TEST(GradientCheck, AddPassesItsGradientToBothSides) {
  for (const auto& [N, C] : kAwkwardRows) {
    Tensor a = random_normal({N, C}, kF64, 1);
    Tensor b = random_normal({N, C}, kF64, 2);
    const Tensor dy = random_normal({N, C}, kF64, 3);
    GuardedTensor y({N, C}, kF64);
    const auto f = [&] {
      ops().add(a, b, *y);
      return projection(*y, dy);
    };
    expect_close(dy, numeric_gradient(a, f), kTolerance);
    expect_close(dy, numeric_gradient(b, f), kTolerance);
    EXPECT_TRUE(y.check());
  }
}

TEST(GradientCheck, ReluSquared) {
  for (const auto& [N, C] : kAwkwardRows) {
    SCOPED_TRACE(fmt::format("N={} C={}", N, C));
    Tensor x = random_normal({N, C}, kF64, 4);
    const Tensor dy = random_normal({N, C}, kF64, 5);
    GuardedTensor y({N, C}, kF64);
    GuardedTensor dx({N, C}, kF64);
    const Tensor expected = numeric_gradient(x, [&] {
      ops().relu_squared(x, *y);
      return projection(*y, dy);
    });
    ops().relu_squared(x, *y);
    ops().relu_squared_backward(dy, *y, *dx);
    expect_close(*dx, expected, kTolerance);
    EXPECT_TRUE(dx.check());
  }
}

TEST(GradientCheck, EmbeddingAddsUpTheGradientsOfRepeatedIds) {
  for (const auto& [N, C] : {Rows{1, 1}, Rows{7, 3}, Rows{23, 5}}) {
    constexpr int64_t V = 5;  // fewer than N: ids repeat
    SCOPED_TRACE(fmt::format("N={} C={}", N, C));
    Tensor w = random_normal({V, C}, kF64, 6);
    const Tensor ids = random_ids(N, V, 7);
    const Tensor dy = random_normal({N, C}, kF64, 8);
    const Tensor held_before = random_normal({V, C}, kF64, 9);
    GuardedTensor y({N, C}, kF64);
    GuardedTensor dw(held_before);
    Tensor expected = numeric_gradient(w, [&] {
      ops().embedding(w, ids, *y);
      return projection(*y, dy);
    });
    ops().add(expected, held_before, expected);
    ops().embedding_backward(dy, ids, *dw);
    expect_close(*dw, expected, kTolerance);
    EXPECT_TRUE(y.check());
    EXPECT_TRUE(dw.check());
  }
}

TEST(GradientCheck, RmsNormWithAndWithoutAResidual) {
  for (const auto& [N, C] : kAwkwardRows) {
    for (const float eps : {1e-7F, 0.3F}) {
      for (const bool with_residual : {false, true}) {
        SCOPED_TRACE(fmt::format("N={} C={} eps={} residual={}", N, C, eps, with_residual));
        Tensor x = random_normal({N, C}, kF64, 10);
        const Tensor dy = random_normal({N, C}, kF64, 11);
        const Tensor residual = with_residual ? random_normal({N, C}, kF64, 12) : Tensor();
        GuardedTensor y({N, C}, kF64);
        GuardedTensor rstd({N}, kF64);
        GuardedTensor dx({N, C}, kF64);
        const Tensor expected = numeric_gradient(x, [&] {
          ops().rms_norm(x, *y, *rstd, eps);
          // x itself goes on beside the norm.
          return projection(*y, dy) + (with_residual ? projection(x, residual) : 0);
        });
        ops().rms_norm(x, *y, *rstd, eps);
        ops().rms_norm_backward(dy, *y, *rstd, residual, *dx);
        expect_close(*dx, expected, kTolerance);
        EXPECT_TRUE(y.check());
        EXPECT_TRUE(rstd.check());
        EXPECT_TRUE(dx.check());

        GuardedTensor in_place(dy);
        ops().rms_norm_backward(*in_place, *y, *rstd, residual, *in_place);
        EXPECT_TRUE(same_bits(*in_place, *dx));
        if (with_residual) {
          GuardedTensor over_residual(residual);
          ops().rms_norm_backward(dy, *y, *rstd, *over_residual, *over_residual);
          EXPECT_TRUE(same_bits(*over_residual, *dx));
        }
      }
    }
  }
}

/// Rotary tables for P positions, not quite of length 1, as tables rounded to bf16 are not.
struct Tables {
  Tables(int64_t P, int64_t half)
      : cos(random_uniform({P, half}, kF64, 20, -1, 1)),
        sin(random_uniform({P, half}, kF64, 21, -1, 1)) {}
  Tensor cos, sin;
};

struct Heads {
  int64_t H, Hkv, D;
};

TEST(GradientCheck, RopeAndQkNorm) {
  const TokenRuns several = test::random_runs(4, 3, 22, 5);  // one empty, one of one row
  for (const auto& [H, Hkv, D] : {Heads{1, 1, 2}, Heads{3, 1, 4}, Heads{4, 2, 10}}) {
    SCOPED_TRACE(fmt::format("H={} Hkv={} D={}", H, Hkv, D));
    const AttentionShape shape{.n_head = H, .n_kv_head = Hkv, .head_dim = D};
    const int64_t N = several.n_tokens();
    const Tables tables(several.end_position(), D / 2);
    constexpr float gain = 1.2F;
    constexpr float eps = 0.05F;
    Tensor x = random_normal({N, shape.qkv_dim()}, kF64, 23);
    const Tensor dy = random_normal({N, shape.qkv_dim()}, kF64, 24);
    GuardedTensor y(x);
    GuardedTensor rstd({N, H + Hkv}, kF64);
    const auto forward = [&] {
      ops().copy(x, *y);
      ops().rope_qk_norm(*y, several, shape, tables.cos, tables.sin, gain, eps, *rstd);
      return projection(*y, dy);
    };
    const Tensor expected = numeric_gradient(x, forward);
    forward();
    GuardedTensor dx(dy);
    ops().rope_qk_norm_backward(*dx, *y, several, shape, tables.cos, tables.sin, gain, *rstd);
    expect_close(*dx, expected, kTolerance);
    EXPECT_TRUE(y.check());
    EXPECT_TRUE(rstd.check());
    EXPECT_TRUE(dx.check());
  }
}

/// Runs of these lengths, one after another; run r starts at position 2 r.
TokenRuns runs_of(std::initializer_list<int32_t> lengths) {
  std::vector<Run> runs;
  int32_t n_tokens = 0;
  for (const int32_t length : lengths) {
    const auto position = static_cast<int32_t>(2 * runs.size());
    runs.push_back({.row_begin = n_tokens, .length = length, .position = position});
    n_tokens += length;
  }
  return {runs, n_tokens};
}

TEST(GradientCheck, Attention) {
  const TokenRuns layouts[] = {runs_of({1}), runs_of({7}), runs_of({3, 0, 5, 1})};
  for (const TokenRuns& runs : layouts) {
    const int64_t N = runs.n_tokens();
    for (const auto& [H, Hkv, D] : {Heads{1, 1, 1}, Heads{3, 1, 2}, Heads{4, 2, 3}}) {
      for (const int64_t window : {-1, 0, 2, 50}) {
        SCOPED_TRACE(fmt::format("N={} H={} Hkv={} D={} window={}", N, H, Hkv, D, window));
        const AttentionShape shape{
            .n_head = H, .n_kv_head = Hkv, .head_dim = D, .window = window, .scale = 0.7F};
        Tensor qkv = random_normal({N, shape.qkv_dim()}, kF64, 30);
        const Tensor dout = random_normal({N, shape.q_dim()}, kF64, 31);
        GuardedTensor out({N, shape.q_dim()}, kF64);
        GuardedTensor lse({N, H}, kF64);
        GuardedTensor dqkv({N, shape.qkv_dim()}, kF64);
        const auto forward = [&] {
          ops().attention(qkv, runs, shape, *out, *lse);
          return projection(*out, dout);
        };
        const Tensor expected = numeric_gradient(qkv, forward);
        forward();
        ops().attention_backward(dout, qkv, *out, *lse, runs, shape, *dqkv);
        expect_close(*dqkv, expected, kTolerance);
        EXPECT_TRUE(out.check());
        EXPECT_TRUE(lse.check());
        EXPECT_TRUE(dqkv.check());
      }
    }
  }
}

struct Product {
  int64_t M, N, K, batch;  // batch 0: rank 2
};

/// c = epilogue(alpha op(a) op(b) + beta c0), and the gradients of a and b by two more products.
void check_matmul(const Product& size, bool ta, bool tb, Epilogue epilogue) {
  const auto& [M, N, K, batch] = size;
  const auto shape_of = [&, rank3 = batch > 0, B = batch](int64_t rows, int64_t columns) {
    return rank3 ? Shape{B, rows, columns} : Shape{rows, columns};
  };
  constexpr float alpha = 1.3F;
  constexpr float beta = -0.4F;
  Tensor a = random_normal(ta ? shape_of(K, M) : shape_of(M, K), kF64, 40);
  Tensor b = random_normal(tb ? shape_of(N, K) : shape_of(K, N), kF64, 41);
  Tensor c0 = random_normal(shape_of(M, N), kF64, 42);
  const Tensor dy = random_normal(shape_of(M, N), kF64, 43);
  GuardedTensor c(shape_of(M, N), kF64);
  const auto forward = [&] {
    ops().copy(c0, *c);
    ops().matmul(a, ta, b, tb, *c, alpha, beta, epilogue);
    return projection(*c, dy);
  };
  const Tensor expected_da = numeric_gradient(a, forward);
  const Tensor expected_db = numeric_gradient(b, forward);
  const Tensor expected_dc0 = numeric_gradient(c0, forward);

  forward();
  Tensor dc = dy.clone();
  if (epilogue == Epilogue::kReluSquared) ops().relu_squared_backward(dy, *c, dc);
  GuardedTensor da(a.shape(), kF64);
  GuardedTensor db(b.shape(), kF64);
  // d op(a) = alpha dc op(b)^T and d op(b) = alpha op(a)^T dc; turned over where x is stored so.
  if (ta) {
    ops().matmul(b, tb, dc, true, *da, alpha);
  } else {
    ops().matmul(dc, false, b, !tb, *da, alpha);
  }
  if (tb) {
    ops().matmul(dc, true, a, ta, *db, alpha);
  } else {
    ops().matmul(a, !ta, dc, false, *db, alpha);
  }
  expect_close(*da, expected_da, kTolerance);
  expect_close(*db, expected_db, kTolerance);
  ops().axpby(beta, dc, 0, dc);
  expect_close(dc, expected_dc0, kTolerance);
  EXPECT_TRUE(c.check());
  EXPECT_TRUE(da.check());
  EXPECT_TRUE(db.check());
}

TEST(GradientCheck, MatmulInAllTransposes) {
  for (const Product& size : {Product{1, 1, 1, 0}, Product{3, 5, 7, 0}, Product{2, 1, 13, 0},
                              Product{1, 11, 2, 0}, Product{2, 3, 4, 3}}) {
    for (const bool ta : {false, true}) {
      for (const bool tb : {false, true}) {
        for (const Epilogue epilogue : {Epilogue::kNone, Epilogue::kReluSquared}) {
          SCOPED_TRACE(fmt::format("M={} N={} K={} batch={} ta={} tb={} epilogue={}", size.M,
                                   size.N, size.K, size.batch, ta, tb, static_cast<int>(epilogue)));
          check_matmul(size, ta, tb, epilogue);
        }
      }
    }
  }
}

TEST(GradientCheck, SoftcapCrossEntropyWithIgnoredAndWeightedRows) {
  for (const auto& [N, V] : {Rows{1, 1}, Rows{1, 2}, Rows{5, 7}, Rows{11, 13}}) {
    for (const float cap : {1.5F, 15.0F}) {
      SCOPED_TRACE(fmt::format("N={} V={} cap={}", N, V, cap));
      Tensor logits = random_normal({N, V}, kF64, 50, 2);
      Tensor targets = random_ids(N, V, 51, 0.3);
      if (N > 1) targets.data<int32_t>()[0] = -1;
      Tensor weight = random_uniform({N}, DType::kF32, 52, -1, 2);
      if (N > 1) weight.data<float>()[1] = 0;
      GuardedTensor loss({N}, kF64);
      const auto forward = [&] {
        ops().softcap_cross_entropy(logits, targets, weight, cap, false, *loss);
        return projection(*loss, test::converted(weight, kF64));
      };
      const Tensor expected = numeric_gradient(logits, forward);
      GuardedTensor dlogits(logits);
      GuardedTensor same_loss({N}, kF64);
      forward();
      ops().softcap_cross_entropy(*dlogits, targets, weight, cap, true, *same_loss);
      expect_close(*dlogits, expected, kTolerance);
      EXPECT_TRUE(same_bits(*same_loss, *loss));
      EXPECT_TRUE(dlogits.check());
      EXPECT_TRUE(loss.check());
      EXPECT_TRUE(same_loss.check());
    }
  }
}

TEST(GradientCheck, SoftcapHasTheSlopeThatTheLossUses) {
  constexpr float cap = 2.5F;
  Tensor x = random_normal({17}, kF64, 60, 3);
  const Tensor dy = random_normal({17}, kF64, 61);
  GuardedTensor y({17}, kF64);
  const Tensor expected = numeric_gradient(x, [&] {
    ops().softcap(x, cap, *y);
    return projection(*y, dy);
  });
  ops().softcap(x, cap, *y);
  Tensor dx({17}, kF64);
  for (int64_t i = 0; i < 17; ++i) {
    const double t = (*y).data<double>()[i] / double{cap};
    dx.data<double>()[i] = dy.data<double>()[i] * (1 - t * t);
  }
  expect_close(dx, expected, kTolerance);
  EXPECT_TRUE(y.check());
}

}  // namespace
}  // namespace nanochat
