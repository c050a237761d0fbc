/// Parameters without a model, and a pocket for optimizer state.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "autograd/parameter.h"
#include "ops/devices.h"
#include "optim/optimizer.h"
#include "support/host_calls.h"
#include "support/random.h"

namespace nanochat::test {

/// One parameter per matrix shape, plus wte and lm_head: random values, gradients by set_gradients.
struct ToyModel {
  std::vector<Parameter> parameters;

  void add(std::string name, ParameterKind kind, const Tensor& value) {
    parameters.push_back({.name = std::move(name),
                          .kind = kind,
                          .value = value.clone(),
                          .grad = zeros(value.shape(), value.dtype()),
                          .compute = {}});
  }
  void add_random(std::string name, ParameterKind kind, Shape shape) {
    add(std::move(name), kind, random_normal(shape, DType::kF32, 100 + parameters.size()));
  }
  /// A function of the step alone.
  void set_gradients(int64_t step) {
    for (size_t i = 0; i < parameters.size(); ++i) {
      parameters[i].grad = random_normal(parameters[i].value.shape(), DType::kF32,
                                         1000 * static_cast<uint64_t>(step + 1) + i, 0.3);
    }
  }
  [[nodiscard]] std::vector<ParameterGroup> one_group(double lr) {
    ParameterGroup group{.name = "all", .parameters = {}, .initial_lr = lr};
    for (Parameter& p : parameters) group.parameters.push_back(&p);
    return {group};
  }
};

/// With two matrices of one shape, a tall and a wide one, as the blocks have.
[[nodiscard]] inline ToyModel make_toy_model() {
  ToyModel model;
  model.add_random("wte", ParameterKind::kEmbedding, {11, 8});
  model.add_random("block.c_q", ParameterKind::kMatrix, {8, 8});
  model.add_random("block.c_k", ParameterKind::kMatrix, {8, 8});
  model.add_random("block.c_fc", ParameterKind::kMatrix, {32, 8});
  model.add_random("block.c_proj", ParameterKind::kMatrix, {8, 32});
  model.add_random("lm_head", ParameterKind::kUnembedding, {11, 8});
  return model;
}

/// A parameter of shape [1, n].
[[nodiscard]] inline Tensor row_of(std::vector<float> values) {
  return tensor_of<float>(values, {1, static_cast<int64_t>(values.size())});
}

/// Keeps copies of all state, as a checkpoint does.
class SavedState {
 public:
  /// Optimizer, or anything else with visit_state.
  template <typename T>
  explicit SavedState(T& optimizer) {
    Saver saver(*this);
    optimizer.visit_state(saver);
  }
  /// Every name must be among those saved.
  template <typename T>
  void load_into(T& optimizer) const {
    Loader loader(*this);
    optimizer.visit_state(loader);
  }

  std::map<std::string, Tensor, std::less<>> tensors;
  std::map<std::string, int64_t, std::less<>> integers;
  std::map<std::string, double, std::less<>> reals;

 private:
  class Saver final : public StateVisitor {
   public:
    explicit Saver(SavedState& s) : s_(s) {}
    void tensor(std::string_view name, Tensor& value) override {
      EXPECT_TRUE(s_.tensors.emplace(name, value.clone()).second) << name << " twice";
    }
    void integer(std::string_view name, int64_t& value) override {
      EXPECT_TRUE(s_.integers.emplace(name, value).second) << name << " twice";
    }
    void real(std::string_view name, double& value) override {
      EXPECT_TRUE(s_.reals.emplace(name, value).second) << name << " twice";
    }

   private:
    SavedState& s_;
  };
  class Loader final : public StateVisitor {
   public:
    explicit Loader(const SavedState& s) : s_(s) {}
    void tensor(std::string_view name, Tensor& value) override {
      reference_backend().copy(s_.tensors.find(name)->second, value);
    }
    void integer(std::string_view name, int64_t& value) override {
      value = s_.integers.find(name)->second;
    }
    void real(std::string_view name, double& value) override {
      value = s_.reals.find(name)->second;
    }

   private:
    const SavedState& s_;
  };
};

/// For INSTANTIATE_TEST_SUITE_P over Values("reference", "cpu"): looked up inside the test, since
/// cpu_backend() may throw. "cuda" takes tensors on the host.
[[nodiscard]] inline Backend& backend_named(std::string_view name) {
  if (name == "cuda") {
    static const std::unique_ptr<Backend> gpu = make_host_calls(cuda_backend());
    return *gpu;
  }
  return name == "reference" ? reference_backend() : cpu_backend();
}
[[nodiscard]] inline std::string backend_name(const testing::TestParamInfo<const char*>& test) {
  return test.param;
}

}  // namespace nanochat::test
