// Each optimizer alone: hand-computed steps, and what all of them promise.
#include <functional>
#include <memory>
#include <string>

#include <gtest/gtest.h>

#include "optim/adamw.h"
#include "optim/lion.h"
#include "optim/muon.h"
#include "optim/sgd.h"
#include "optim/toy_model.h"
#include "support/compare.h"

namespace nanochat {
namespace {

using test::backend_named;
using test::expect_close;
using test::row_of;
using test::same_bits;
using test::SavedState;
using test::ToyModel;

constexpr test::Tolerance kTight{.abs = 1e-7, .rel_of_max = 1e-6};

class OptimizersTest : public testing::TestWithParam<const char*> {
 protected:
  Backend& backend() { return backend_named(GetParam()); }
};
INSTANTIATE_TEST_SUITE_P(Backends, OptimizersTest, testing::Values("reference", "cpu"),
                         test::backend_name);

ToyModel one_row(std::vector<float> values) {
  ToyModel model;
  model.add("p", ParameterKind::kMatrix, row_of(std::move(values)));
  return model;
}

TEST_P(OptimizersTest, SgdTakesHandComputedSteps) {
  ToyModel model = one_row({1, -2});
  Sgd sgd(backend(), model.one_group(0.2));
  model.parameters[0].grad = row_of({0.5F, 1});
  sgd.step({.lr_multiplier = 0.5, .grad_scale = row_of({0.5F}).view({1})});
  // p = p - 0.2 * 0.5 * (0.5 g)
  expect_close(model.parameters[0].value, row_of({0.975F, -2.05F}), kTight);
  sgd.step({});
  expect_close(model.parameters[0].value, row_of({0.875F, -2.25F}), kTight);
  EXPECT_EQ(sgd.state_bytes(), 0);
}

TEST_P(OptimizersTest, SgdWithMomentumTakesHandComputedSteps) {
  ToyModel model = one_row({1});
  Sgd sgd(backend(), model.one_group(0.1), 0.9);
  model.parameters[0].grad = row_of({0.5F});
  sgd.step({});  // m = 0.5, p = 1 - 0.05
  expect_close(model.parameters[0].value, row_of({0.95F}), kTight);
  model.parameters[0].grad = row_of({2});
  sgd.step({.grad_scale = row_of({0.5F}).view({1})});  // m = 0.45 + 1, p = 0.95 - 0.145
  expect_close(model.parameters[0].value, row_of({0.805F}), kTight);
}

TEST_P(OptimizersTest, LionTakesHandComputedSteps) {
  ToyModel model = one_row({1, -2, 0.5F});
  Lion lion(backend(), model.one_group(0.01), {.weight_decay = 0.1});
  model.parameters[0].grad = row_of({0.3F, -0.1F, 0});
  lion.step({});  // p = 0.999 p - 0.01 sign(0.1 g), m = 0.01 g
  expect_close(model.parameters[0].value, row_of({0.989F, -1.988F, 0.4995F}), kTight);
  // 0.9 * 0.003 - 0.1 * 0.02 > 0: the momentum outweighs the gradient; 0.9 * -0.001 + 0.1 * 0.02
  // > 0: the gradient outweighs the momentum.
  model.parameters[0].grad = row_of({-0.02F, 0.02F, -5});
  lion.step({});
  expect_close(model.parameters[0].value, row_of({0.978011F, -1.996012F, 0.5090005F}), kTight);
}

TEST_P(OptimizersTest, AdamWTakesHandComputedSteps) {
  ToyModel model = one_row({1});
  AdamW adamw(backend(), model.one_group(0.2), {.weight_decay = 0.5});
  model.parameters[0].grad = row_of({1});
  const StepContext context{.lr_multiplier = 0.5, .grad_scale = row_of({0.5F}).view({1})};
  // g = 0.5: m = 0.1, v = 0.0125, both 0.5 and 0.25 without bias; p = 0.95 * 1 - 0.1 * 0.5 / 0.5
  adamw.step(context);
  expect_close(model.parameters[0].value, row_of({0.85F}), kTight);
  // g = -1: m = -0.12, v = 0.061875; m / 0.36 = -1/3, sqrt(v / 0.0975) = 0.7966275;
  // p = 0.95 * 0.85 + 0.1 * (1/3) / 0.7966275
  model.parameters[0].grad = row_of({-2});
  adamw.step(context);
  expect_close(model.parameters[0].value, row_of({0.84934306F}), kTight);
}

TEST_P(OptimizersTest, SgdAndLionReduceAQuadratic) {
  // loss = |p - target|^2 / 2, gradient = p - target.
  const Tensor target = test::random_normal({5, 7}, DType::kF32, 3);
  const auto distance_after = [&](auto make_optimizer) {
    ToyModel model;
    model.add_random("p", ParameterKind::kMatrix, {5, 7});
    const std::unique_ptr<Optimizer> optimizer = make_optimizer(model);
    Parameter& p = model.parameters[0];
    for (int64_t step = 0; step < 300; ++step) {
      backend().copy(p.value, p.grad);
      backend().axpby(-1, target, 1, p.grad);
      optimizer->step({.step = step, .lr_multiplier = 1 - static_cast<double>(step) / 300});
    }
    return test::max_abs_over_max(p.value, target);
  };
  EXPECT_LT(distance_after(
                [&](ToyModel& m) { return std::make_unique<Sgd>(backend(), m.one_group(0.2)); }),
            1e-5);
  EXPECT_LT(distance_after([&](ToyModel& m) {
              return std::make_unique<Sgd>(backend(), m.one_group(0.05), 0.8);
            }),
            1e-5);
  EXPECT_LT(distance_after([&](ToyModel& m) {
              return std::make_unique<Lion>(backend(), m.one_group(0.05), LionConfig{.beta2 = 0.9});
            }),
            0.05);
}

TEST_P(OptimizersTest, SgdRefusesAMomentumThatDoesNotDecay) {
  ToyModel model = one_row({1});
  EXPECT_THROW(Sgd(backend(), model.one_group(0.1), 1), UsageError);
  EXPECT_THROW(Sgd(backend(), model.one_group(0.1), -0.1), UsageError);
}

// What every optimizer promises; a new one is added to this list.
using MakeOptimizer = std::unique_ptr<Optimizer> (*)(Backend&, ToyModel&, double lr);
struct Case {
  const char* name;
  MakeOptimizer make;
};
constexpr Case kCases[] = {
    {"sgd",
     [](Backend& b, ToyModel& m, double lr) -> std::unique_ptr<Optimizer> {
       return std::make_unique<Sgd>(b, m.one_group(lr));
     }},
    {"sgd with momentum",
     [](Backend& b, ToyModel& m, double lr) -> std::unique_ptr<Optimizer> {
       return std::make_unique<Sgd>(b, m.one_group(lr), 0.9);
     }},
    {"lion",
     [](Backend& b, ToyModel& m, double lr) -> std::unique_ptr<Optimizer> {
       return std::make_unique<Lion>(b, m.one_group(lr), LionConfig{.weight_decay = 0.1});
     }},
    {"adamw",
     [](Backend& b, ToyModel& m, double lr) -> std::unique_ptr<Optimizer> {
       return std::make_unique<AdamW>(b, m.one_group(lr), AdamWConfig{.weight_decay = 0.1});
     }},
    {"muon",
     [](Backend& b, ToyModel& m, double lr) -> std::unique_ptr<Optimizer> {
       return std::make_unique<Muon>(b, m.one_group(lr));
     }},
};

void take_steps(Optimizer& optimizer, ToyModel& model, int64_t from, int64_t to) {
  for (int64_t i = from; i < to; ++i) {
    model.set_gradients(i);
    optimizer.step({.step = i, .lr_multiplier = 1 - 0.1 * static_cast<double>(i)});
  }
}

void expect_same_values(const ToyModel& a, const ToyModel& b) {
  for (size_t i = 0; i < a.parameters.size(); ++i) {
    EXPECT_TRUE(same_bits(a.parameters[i].value, b.parameters[i].value)) << a.parameters[i].name;
  }
}

TEST_P(OptimizersTest, EveryParameterMovesAndTwoRunsAreBitIdentical) {
  for (const Case& c : kCases) {
    SCOPED_TRACE(c.name);
    const ToyModel start = test::make_toy_model();
    ToyModel a = test::make_toy_model(), b = test::make_toy_model();
    take_steps(*c.make(backend(), a, 0.01), a, 0, 3);
    take_steps(*c.make(backend(), b, 0.01), b, 0, 3);
    expect_same_values(a, b);
    for (size_t i = 0; i < a.parameters.size(); ++i) {
      EXPECT_GT(test::frobenius(a.parameters[i].value, start.parameters[i].value), 1e-4);
    }
  }
}

TEST_P(OptimizersTest, SavedStateContinuesBitForBitEvenWithOtherSettings) {
  for (const Case& c : kCases) {
    SCOPED_TRACE(c.name);
    ToyModel model = test::make_toy_model();
    const std::unique_ptr<Optimizer> optimizer = c.make(backend(), model, 0.01);
    take_steps(*optimizer, model, 0, 3);

    ToyModel resumed;
    for (const Parameter& p : model.parameters) resumed.add(p.name, p.kind, p.value);
    const std::unique_ptr<Optimizer> other = c.make(backend(), resumed, 0.77);  // not 0.01
    SavedState(*optimizer).load_into(*other);
    EXPECT_EQ(other->n_steps(), 3);
    EXPECT_EQ(other->groups()[0].initial_lr, 0.01);

    take_steps(*optimizer, model, 3, 6);
    take_steps(*other, resumed, 3, 6);
    expect_same_values(model, resumed);
  }
}

TEST_P(OptimizersTest, StateBytesAreThoseOfTheTensorsVisited) {
  for (const Case& c : kCases) {
    SCOPED_TRACE(c.name);
    ToyModel model = test::make_toy_model();
    const std::unique_ptr<Optimizer> optimizer = c.make(backend(), model, 0.01);
    int64_t bytes = 0;
    for (const auto& [name, tensor] : SavedState(*optimizer).tensors) bytes += tensor.size_bytes();
    EXPECT_EQ(optimizer->state_bytes(), bytes);
  }
}

TEST_P(OptimizersTest, AGradientScaleIsAsGoodAsScaledGradients) {
  for (const Case& c : kCases) {
    SCOPED_TRACE(c.name);
    ToyModel by_scale = test::make_toy_model(), by_hand = test::make_toy_model();
    const std::unique_ptr<Optimizer> scaled = c.make(backend(), by_scale, 0.01);
    const std::unique_ptr<Optimizer> plain = c.make(backend(), by_hand, 0.01);
    for (int64_t i = 0; i < 3; ++i) {
      // Powers of two, so exact; not the same each time, which Muon could not notice.
      const float scale = i == 1 ? 0.25F : 2.0F;
      by_scale.set_gradients(i);
      by_hand.set_gradients(i);
      for (Parameter& p : by_hand.parameters) {
        for (float& g : p.grad.span<float>()) g *= scale;
      }
      scaled->step({.step = i, .grad_scale = row_of({scale}).view({1})});
      plain->step({.step = i});
    }
    for (size_t i = 0; i < by_hand.parameters.size(); ++i) {
      expect_close(by_scale.parameters[i].value, by_hand.parameters[i].value, kTight);
    }
  }
}

TEST_P(OptimizersTest, GradientsAreLeftAsTheyAre) {
  for (const Case& c : kCases) {
    SCOPED_TRACE(c.name);
    ToyModel model = test::make_toy_model(), untouched = test::make_toy_model();
    model.set_gradients(0);
    untouched.set_gradients(0);
    c.make(backend(), model, 0.01)->step({.grad_scale = row_of({0.25F}).view({1})});
    for (size_t i = 0; i < model.parameters.size(); ++i) {
      EXPECT_TRUE(same_bits(model.parameters[i].grad, untouched.parameters[i].grad));
    }
  }
}

}  // namespace
}  // namespace nanochat
