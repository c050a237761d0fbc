#include "optim/classic.h"

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "optim/toy_model.h"
#include "support/compare.h"

namespace nanochat {
namespace {

using test::backend_named;
using test::same_bits;
using test::SavedState;
using test::ToyModel;

class ClassicOptimizerTest : public testing::TestWithParam<const char*> {
 protected:
  Backend& backend() { return backend_named(GetParam()); }
};
INSTANTIATE_TEST_SUITE_P(Backends, ClassicOptimizerTest, testing::Values("reference", "cpu"),
                         test::backend_name);

std::vector<std::string> names_of(const ParameterGroup& group) {
  std::vector<std::string> names;
  for (const Parameter* p : group.parameters) names.push_back(p->name);
  return names;
}

TEST_P(ClassicOptimizerTest, GroupsParametersByKindAndScalesTheEmbeddingRates) {
  ToyModel model = test::make_toy_model();
  const ClassicOptimizer optimizer(backend(), model.parameters, {.n_embd = 192});
  const auto adamw = optimizer.adamw.groups();
  ASSERT_EQ(adamw.size(), 2U);
  EXPECT_EQ(adamw[0].name, "lm_head");
  EXPECT_EQ(names_of(adamw[0]), std::vector<std::string>{"lm_head"});
  EXPECT_DOUBLE_EQ(adamw[0].initial_lr, 0.008);  // (192 / 768)^-0.5 = 2
  EXPECT_EQ(adamw[1].name, "wte");
  EXPECT_EQ(names_of(adamw[1]), std::vector<std::string>{"wte"});
  EXPECT_DOUBLE_EQ(adamw[1].initial_lr, 0.4);
  const auto muon = optimizer.muon.groups();
  ASSERT_EQ(muon.size(), 1U);
  EXPECT_EQ(names_of(muon[0]),
            (std::vector<std::string>{"block.c_q", "block.c_k", "block.c_fc", "block.c_proj"}));
  EXPECT_EQ(muon[0].initial_lr, 0.02);
}

TEST_P(ClassicOptimizerTest, StateIsTwoMomentsForEmbeddingsAndOneForMatrices) {
  ToyModel model = test::make_toy_model();
  ClassicOptimizer optimizer(backend(), model.parameters, {.n_embd = 8});
  const int64_t embeddings = 2 * 11 * 8, matrices = 2 * 64 + 2 * 256;
  EXPECT_EQ(optimizer.state_bytes(), 4 * (2 * embeddings + matrices));
  const SavedState saved(optimizer);
  EXPECT_EQ(saved.tensors.size(), 2U * 2 + 4);
  EXPECT_TRUE(saved.tensors.contains("wte.exp_avg_sq"));
  EXPECT_TRUE(saved.tensors.contains("block.c_fc.momentum_buffer"));
  EXPECT_TRUE(saved.integers.contains("muon.n_steps"));
  EXPECT_TRUE(saved.reals.contains("adamw.lm_head.initial_lr"));
}

TEST_P(ClassicOptimizerTest, AStepClipsAndMovesEverything) {
  ToyModel model = test::make_toy_model();
  const ToyModel start = test::make_toy_model();
  model.set_gradients(0);
  double squares = 0;
  for (const Parameter& p : model.parameters) {
    for (const double g : test::to_doubles(p.grad)) squares += g * g;
  }
  ClassicOptimizer optimizer(backend(), model.parameters, {.n_embd = 8, .grad_clip = 0.5});
  EXPECT_NEAR(optimizer.step(0, 1), std::sqrt(squares), 1e-9 * std::sqrt(squares));
  for (size_t i = 0; i < model.parameters.size(); ++i) {
    EXPECT_GT(test::frobenius(model.parameters[i].value, start.parameters[i].value), 1e-3);
  }
  // The first moment shows the factor: m = 0.2 * scale * g.
  const double scale = 0.5 / (std::sqrt(squares) + 1e-6);
  const SavedState saved(optimizer);
  EXPECT_NEAR(saved.tensors.find("wte.exp_avg")->second.data<float>()[5],
              0.2 * scale * static_cast<double>(model.parameters[0].grad.data<float>()[5]), 1e-7);
}

TEST_P(ClassicOptimizerTest, ANonFiniteGradientChangesNothing) {
  ToyModel model = test::make_toy_model();
  const ToyModel start = test::make_toy_model();
  ClassicOptimizer optimizer(backend(), model.parameters, {.n_embd = 8});
  model.set_gradients(0);
  model.parameters[3].grad.data<float>()[17] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THROW(optimizer.step(0, 1), NumericError);
  for (size_t i = 0; i < model.parameters.size(); ++i) {
    EXPECT_TRUE(same_bits(model.parameters[i].value, start.parameters[i].value));
  }
  const SavedState saved(optimizer);
  for (const auto& [name, tensor] : saved.tensors) {
    for (const double x : test::to_doubles(tensor)) ASSERT_EQ(x, 0) << name;
  }
  EXPECT_EQ(saved.integers.find("adamw.n_steps")->second, 0);
}

TEST_P(ClassicOptimizerTest, SavedStateContinuesBitForBit) {
  ToyModel model = test::make_toy_model();
  const ClassicOptimConfig config{.n_embd = 8, .weight_decay = 0.1, .grad_clip = 0.7};
  ClassicOptimizer optimizer(backend(), model.parameters, config);
  const auto take_steps = [](ClassicOptimizer& o, ToyModel& m, int64_t from, int64_t to) {
    for (int64_t i = from; i < to; ++i) {
      m.set_gradients(i);
      (void)o.step(i, 1 - 0.1 * static_cast<double>(i));
    }
  };
  take_steps(optimizer, model, 0, 4);

  ToyModel resumed;
  for (const Parameter& p : model.parameters) resumed.add(p.name, p.kind, p.value);
  ClassicOptimizer other(backend(), resumed.parameters, {.n_embd = 8, .grad_clip = 0.7});
  SavedState(optimizer).load_into(other);

  take_steps(optimizer, model, 4, 7);
  take_steps(other, resumed, 4, 7);
  for (size_t i = 0; i < model.parameters.size(); ++i) {
    EXPECT_TRUE(same_bits(model.parameters[i].value, resumed.parameters[i].value));
  }
}

}  // namespace
}  // namespace nanochat
