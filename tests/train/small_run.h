/// A very small model with an optimizer that has done a few steps: something to save.
#pragma once

#include <cstdint>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "core/arena.h"
#include "model/gpt.h"
#include "optim/classic.h"
#include "support/random.h"
#include "train/checkpoint.h"

namespace nanochat::test {

inline GptConfig small_config() {
  return {
      .sequence_len = 8, .vocab_size = 24, .n_layer = 1, .n_head = 2, .n_kv_head = 1, .n_embd = 16};
}

inline bool same_bytes(const Tensor& a, const Tensor& b) {
  return a.dtype() == b.dtype() && a.shape() == b.shape() &&
         std::memcmp(a.raw(), b.raw(), static_cast<size_t>(a.size_bytes())) == 0;
}

/// Copies of all that visit_state shows.
class StateCopy final : public StateVisitor {
 public:
  std::map<std::string, Tensor, std::less<>> tensors;
  std::map<std::string, int64_t, std::less<>> integers;
  std::map<std::string, double, std::less<>> reals;

  void tensor(std::string_view name, Tensor& value) override {
    tensors.emplace(name, value.clone());
  }
  void integer(std::string_view name, int64_t& value) override { integers.emplace(name, value); }
  void real(std::string_view name, double& value) override { reals.emplace(name, value); }
};

struct SmallRun {
  explicit SmallRun(uint64_t seed = 1, GptConfig config = small_config())
      : model(config, cpu_backend()),
        optimizer(cpu_backend(), model.parameters(), {.n_embd = config.n_embd}) {
    model.init_weights(seed);
  }
  /// From gradients that are a function of the step.
  void step(int64_t i) {
    for (size_t p = 0; p < model.parameters().size(); ++p) {
      Parameter& parameter = model.parameters()[p];
      parameter.grad = random_normal(parameter.value.shape(), DType::kF32,
                                     1000 * static_cast<uint64_t>(i + 1) + p, 0.3);
    }
    optimizer.step(i, 1.0);
    model.refresh_compute_weights();
  }
  [[nodiscard]] StateCopy state() {
    StateCopy copy;
    optimizer.visit_state(copy);
    return copy;
  }

  Gpt model;
  ClassicOptimizer optimizer;
};

inline void expect_same(SmallRun& a, SmallRun& b) {
  for (size_t i = 0; i < a.model.parameters().size(); ++i) {
    EXPECT_TRUE(same_bytes(a.model.parameters()[i].value, b.model.parameters()[i].value))
        << a.model.parameters()[i].name;
  }
  const StateCopy x = a.state(), y = b.state();
  EXPECT_EQ(x.integers, y.integers);
  EXPECT_EQ(x.reals, y.reals);
  ASSERT_EQ(x.tensors.size(), y.tensors.size());
  for (const auto& [name, tensor] : x.tensors) {
    EXPECT_TRUE(same_bytes(tensor, y.tensors.at(name))) << name;
  }
}

}  // namespace nanochat::test
