#include "optim/clip.h"

#include <cmath>
#include <limits>
#include <string>

#include <gtest/gtest.h>

#include "optim/toy_model.h"

namespace nanochat {
namespace {

using test::backend_named;
using test::row_of;
using test::ToyModel;

class ClipTest : public testing::TestWithParam<const char*> {
 protected:
  Backend& backend() { return backend_named(GetParam()); }
  // Gradients 3 and (0, -4): norm 5.
  static ToyModel model_of_norm_5() {
    ToyModel model;
    model.add("first", ParameterKind::kMatrix, row_of({1}));
    model.add("second", ParameterKind::kMatrix, row_of({1, 1}));
    model.parameters[0].grad = row_of({3});
    model.parameters[1].grad = row_of({0, -4});
    return model;
  }
};
INSTANTIATE_TEST_SUITE_P(Backends, ClipTest, testing::Values("reference", "cpu"),
                         test::backend_name);

TEST_P(ClipTest, ScalesDownToTheNormAsked) {
  const ToyModel model = model_of_norm_5();
  GradientClipper clipper(backend(), model.parameters, 2);
  const Tensor& scale = clipper.clip();
  EXPECT_DOUBLE_EQ(clipper.grad_norm(), 5);
  EXPECT_NEAR(scale.data<float>()[0], 2 / (5 + 1e-6), 1e-7);
}

TEST_P(ClipTest, LeavesSmallGradientsAlone) {
  const ToyModel model = model_of_norm_5();
  GradientClipper clipper(backend(), model.parameters, 5.1);
  EXPECT_EQ(clipper.clip().data<float>()[0], 1);
}

TEST_P(ClipTest, EveryCallMeasuresAnew) {
  ToyModel model = model_of_norm_5();
  GradientClipper clipper(backend(), model.parameters, 1);
  (void)clipper.clip();
  model.parameters[1].grad.data<float>()[1] = 0;
  const Tensor& scale = clipper.clip();
  EXPECT_DOUBLE_EQ(clipper.grad_norm(), 3);
  EXPECT_NEAR(scale.data<float>()[0], 1 / (3 + 1e-6), 1e-7);
}

TEST_P(ClipTest, ZeroMeansMeasureOnly) {
  const ToyModel model = model_of_norm_5();
  GradientClipper clipper(backend(), model.parameters, 0);
  EXPECT_FALSE(clipper.clip().defined());
  EXPECT_DOUBLE_EQ(clipper.grad_norm(), 5);
}

TEST_P(ClipTest, NamesTheFirstGradientThatIsNotFinite) {
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::infinity()}) {
    for (const double max_norm : {0.0, 1.0}) {
      ToyModel model = model_of_norm_5();
      model.parameters[1].grad.data<float>()[0] = bad;
      GradientClipper clipper(backend(), model.parameters, max_norm);
      try {
        (void)clipper.clip();
        ADD_FAILURE() << "no error for " << bad;
      } catch (const NumericError& e) {
        const std::string what = e.what();
        EXPECT_NE(what.find("gradient of second"), std::string::npos) << what;
        EXPECT_NE(what.find(std::isnan(bad) ? "NaN" : "infinite"), std::string::npos) << what;
      }
    }
  }
}

TEST_P(ClipTest, LargeFiniteGradientsAreNotMistakenForInfinite) {
  ToyModel model = model_of_norm_5();
  model.parameters[0].grad.data<float>()[0] = 3e38F;  // its square overflows f32
  GradientClipper clipper(backend(), model.parameters, 1);
  (void)clipper.clip();
  EXPECT_NEAR(clipper.grad_norm() / static_cast<double>(3e38F), 1, 1e-12);
}

TEST_P(ClipTest, RefusesANegativeNorm) {
  const ToyModel model = model_of_norm_5();
  EXPECT_THROW(GradientClipper(backend(), model.parameters, -1), UsageError);
  EXPECT_THROW(GradientClipper(backend(), model.parameters, std::nan("")), UsageError);
}

}  // namespace
}  // namespace nanochat
