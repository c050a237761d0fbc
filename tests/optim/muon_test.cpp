#include "optim/muon.h"

#include <algorithm>
#include <cmath>
#include <string>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "optim/toy_model.h"
#include "support/compare.h"

namespace nanochat {
namespace {

using test::backend_named;
using test::expect_close;
using test::same_bits;
using test::ToyModel;

constexpr test::Tolerance kF32{.abs = 1e-6, .rel_of_max = 1e-5};
constexpr NewtonSchulzConfig kInF32{.dtype = DType::kF32};

class MuonTest : public testing::TestWithParam<const char*> {
 protected:
  Backend& backend() { return backend_named(GetParam()); }
  Tensor orthogonalized(const Tensor& g, const NewtonSchulzConfig& config) {
    NewtonSchulz newton_schulz(backend(), config);
    Tensor x = newton_schulz.input(1, g.dim(0), g.dim(1));
    backend().cast(g, x);
    return newton_schulz.run().clone().view(g.shape());
  }
};
INSTANTIATE_TEST_SUITE_P(Backends, MuonTest, testing::Values("reference", "cpu"),
                         test::backend_name);

// What five iterations make of one singular value, once the Frobenius norm is 1.
double iterated(double s) {
  for (int i = 0; i < 5; ++i) s = 3.4445 * s - 4.7750 * s * s * s + 2.0315 * std::pow(s, 5);
  return s;
}

TEST_P(MuonTest, NewtonSchulzMapsSingularValuesByTheQuintic) {
  // Diagonal matrices: the singular values are there to be seen, square, tall and wide.
  const double singular[] = {3, 1, 0.25};
  const double norm = std::sqrt(9 + 1 + 0.0625);
  for (const Shape& shape : {Shape{3, 3}, Shape{5, 3}, Shape{3, 5}}) {
    SCOPED_TRACE(shape.to_string());
    Tensor g = zeros(shape, DType::kF32), expected = zeros(shape, DType::kF32);
    for (int64_t i = 0; i < 3; ++i) {
      const double sign = i == 1 ? -1 : 1;
      g.data<float>()[i * shape[1] + i] = static_cast<float>(sign * singular[i]);
      expected.data<float>()[i * shape[1] + i] =
          static_cast<float>(sign * iterated(singular[i] / norm));
    }
    expect_close(orthogonalized(g, kInF32), expected, kF32);
    // Five roundings of three products; the quintic's slope of 3.4 per step magnifies the first.
    expect_close(orthogonalized(g, {}), expected, {.rel_of_max = 0.1});
  }
}

TEST_P(MuonTest, NewtonSchulzOfATransposeIsTheTranspose) {
  const Tensor g = test::random_normal({13, 6}, DType::kF32, 5);
  const auto transposed = [](const Tensor& x) {
    Tensor y({x.dim(1), x.dim(0)}, DType::kF32);
    for (int64_t r = 0; r < x.dim(0); ++r) {
      for (int64_t c = 0; c < x.dim(1); ++c) {
        y.data<float>()[c * x.dim(0) + r] = x.data<float>()[r * x.dim(1) + c];
      }
    }
    return y;
  };
  expect_close(transposed(orthogonalized(transposed(g), kInF32)), orthogonalized(g, kInF32), kF32);
}

TEST_P(MuonTest, ABatchIsWhatItsMatricesAreAlone) {
  for (const Shape& shape : {Shape{7, 7}, Shape{16, 5}, Shape{5, 16}}) {
    SCOPED_TRACE(shape.to_string());
    const int64_t n = 3;
    const Tensor g = test::random_normal({n, shape[0], shape[1]}, DType::kF32, 9);
    NewtonSchulz newton_schulz(backend(), kInF32);
    Tensor x = newton_schulz.input(n, shape[0], shape[1]);
    backend().copy(g, x);
    const Tensor together = newton_schulz.run();
    for (int64_t i = 0; i < n; ++i) {
      const Tensor alone = orthogonalized(g.rows(i, i + 1).view(shape), kInF32);
      expect_close(together.rows(i, i + 1).view(shape), alone, kF32);
    }
  }
}

TEST_P(MuonTest, ScratchStaysBelowItsLimitAndChunksChangeNothing) {
  const auto run = [&](int64_t limit_bytes, int64_t& scratch_bytes) {
    ToyModel model;
    for (int i = 0; i < 5; ++i) {
      model.add_random(fmt::format("m{}", i), ParameterKind::kMatrix, {24, 8});
    }
    NewtonSchulzConfig config = kInF32;
    config.scratch_limit_bytes = limit_bytes;
    Muon muon(backend(), model.one_group(0.02), {.newton_schulz = config});
    for (int64_t i = 0; i < 3; ++i) {
      model.set_gradients(i);
      muon.step({.step = i});
    }
    scratch_bytes = muon.scratch_bytes();
    return model;
  };
  int64_t whole = 0, limited = 0, single = 0;
  const ToyModel expected = run(int64_t{1} << 20, whole);
  const ToyModel in_chunks = run(whole / 2, limited);
  const ToyModel one_by_one = run(1, single);
  EXPECT_LE(limited, whole / 2);
  EXPECT_LT(single, limited);
  EXPECT_GT(single, 1);  // one matrix always fits
  for (size_t i = 0; i < expected.parameters.size(); ++i) {
    expect_close(in_chunks.parameters[i].value, expected.parameters[i].value, kF32);
    expect_close(one_by_one.parameters[i].value, expected.parameters[i].value, kF32);
  }
}

TEST_P(MuonTest, ScratchDoesNotGrowAfterConstruction) {
  ToyModel model = test::make_toy_model();
  Muon muon(backend(), model.one_group(0.02));
  const int64_t before = muon.scratch_bytes();
  EXPECT_GT(before, 0);
  model.set_gradients(0);
  muon.step({});
  EXPECT_EQ(muon.scratch_bytes(), before);
}

TEST_P(MuonTest, TallMatricesMoveFurther) {
  // One column: its only singular value is 1 after normalizing, so the update is known.
  ToyModel model;
  model.add("tall", ParameterKind::kMatrix,
            tensor_of<float>(std::vector<float>{1, 2, 3, 4}, {4, 1}));
  model.add("wide", ParameterKind::kMatrix,
            tensor_of<float>(std::vector<float>{1, 2, 3, 4}, {1, 4}));
  for (Parameter& p : model.parameters) {
    p.grad = tensor_of<float>(std::vector<float>{1, -1, 5, 3}, p.value.shape());  // norm 6
  }
  Muon muon(backend(), model.one_group(0.1), {.newton_schulz = kInF32});
  muon.step({.lr_multiplier = 0.5});
  const double gradient[] = {1, -1, 5, 3};
  for (const Parameter& p : model.parameters) {
    const double factor = p.value.dim(0) == 4 ? 2 : 1;  // sqrt(max(1, R / C))
    for (int64_t i = 0; i < 4; ++i) {
      const double expected =
          static_cast<double>(i + 1) - 0.05 * factor * iterated(1) * gradient[i] / 6;
      EXPECT_NEAR(p.value.data<float>()[i], expected, 2e-6) << p.name << " " << i;
    }
  }
}

TEST_P(MuonTest, MomentumFollowsTheScheduleAndLooksAhead) {
  // Second step of a 1 x 2 matrix by hand: g = (1, 0), then (0, 1), with mu 0.5, then 0.75.
  //   m = (0.5, 0);  m = (0.375, 0.25);  u = 0.25 (0, 1) + 0.75 m = (0.28125, 0.4375)
  ToyModel model;
  model.add("p", ParameterKind::kMatrix, test::row_of({0, 0}));
  Muon muon(
      backend(), model.one_group(1),
      {.momentum = [](int64_t step) { return step == 10 ? 0.5 : 0.75; }, .newton_schulz = kInF32});
  model.parameters[0].grad = test::row_of({1, 0});
  muon.step({.step = 10});
  const float first = model.parameters[0].value.data<float>()[0];
  EXPECT_NEAR(first, -iterated(1), 1e-5);
  model.parameters[0].grad = test::row_of({0, 1});
  muon.step({.step = 11});
  const double norm = std::hypot(0.28125, 0.4375);
  EXPECT_NEAR(model.parameters[0].value.data<float>()[0] - first, -iterated(1) * 0.28125 / norm,
              1e-5);
  EXPECT_NEAR(model.parameters[0].value.data<float>()[1], -iterated(1) * 0.4375 / norm, 1e-5);
}

TEST_P(MuonTest, AZeroGradientMovesNothing) {
  ToyModel model = test::make_toy_model();
  const ToyModel start = test::make_toy_model();
  Muon(backend(), model.one_group(0.02)).step({});
  for (size_t i = 0; i < model.parameters.size(); ++i) {
    EXPECT_TRUE(same_bits(model.parameters[i].value, start.parameters[i].value));
  }
}

}  // namespace
}  // namespace nanochat
