// labels: parity
// Newton-Schulz, Muon and AdamW against upstream's, one kernel at a time.
#include <filesystem>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "model/safetensors.h"
#include "optim/adamw.h"
#include "optim/muon.h"
#include "optim/toy_model.h"
#include "support/compare.h"
#include "support/fixtures.h"

namespace nanochat {
namespace {

using test::backend_named;
using test::ToyModel;

constexpr const char* kPattern = "classic/optim_units*.json";

struct Fixture {
  nlohmann::json json;
  SafetensorsFile tensors;
};

Fixture load(const std::filesystem::path& path) {
  return {test::load_json(path),
          SafetensorsFile(std::filesystem::path(path).replace_extension(".safetensors"))};
}

// The orthogonalization's dtype, and what the fixtures' README allows for it.
struct Variant {
  const char* name;
  DType dtype;
};
constexpr Variant kVariants[] = {{"fp32", DType::kF32}, {"bf16", DType::kBf16}};
constexpr double kMaxOverMaxF32 = 5e-4;
constexpr double kFrobeniusBf16 = 0.15;

void expect_within(const Tensor& actual, const Tensor& expected, const Variant& variant) {
  if (variant.dtype == DType::kF32) {
    EXPECT_LE(test::max_abs_over_max(actual, expected), kMaxOverMaxF32);
  } else {
    EXPECT_LE(test::frobenius(actual, expected), kFrobeniusBf16);
  }
}

Tensor difference(const Tensor& a, const Tensor& b) {
  Tensor d = a.clone();
  reference_backend().axpby(-1, b, 1, d);
  return d;
}

class UnitsParityTest : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (std::string(GetParam()) != "cuda" || cuda_inventory().problem.empty()) return;
    GTEST_SKIP() << "cuda: " << cuda_inventory().problem;
  }
  Backend& backend() { return backend_named(GetParam()); }
  // Runs check(fixture) on every file, which returns how many cases it found there.
  template <typename F>
  void for_each_fixture(F&& check) {
    const auto paths = test::find_fixtures(kPattern);
    if (paths.empty()) GTEST_SKIP() << test::missing_fixture(kPattern);
    int cases = 0;
    for (const auto& path : paths) {
      SCOPED_TRACE(path.string());
      cases += check(load(path));
    }
    EXPECT_GT(cases, 0) << "the files hold no such case";
  }
};
constexpr const char* kBackends[] = {
    "reference",
    "cpu",
#ifdef NC_TEST_CUDA
    "cuda",
#endif
};
INSTANTIATE_TEST_SUITE_P(Backends, UnitsParityTest, testing::ValuesIn(kBackends),
                         test::backend_name);

TEST_P(UnitsParityTest, NewtonSchulz) {
  for_each_fixture([&](const Fixture& f) {
    int cases = 0;
    for (int k = 0; f.tensors.contains(fmt::format("ns{}.G", k)); ++k) {
      const Tensor g = f.tensors.tensor(fmt::format("ns{}.G", k));
      for (const Variant& variant : kVariants) {
        const std::string name = fmt::format("ns{}.out_{}", k, variant.name);
        if (!f.tensors.contains(name)) continue;
        SCOPED_TRACE(name);
        NewtonSchulz newton_schulz(backend(), {.dtype = variant.dtype});
        Tensor x = newton_schulz.input(1, g.dim(0), g.dim(1));
        backend().cast(g, x);
        expect_within(newton_schulz.run().view(g.shape()), f.tensors.tensor(name), variant);
        ++cases;
      }
    }
    return cases;
  });
}

TEST_P(UnitsParityTest, MuonSteps) {
  for_each_fixture([&](const Fixture& f) {
    int cases = 0;
    const nlohmann::json& settings = f.json.at("muon");
    const auto momentum = settings.at("momentum").get<std::vector<double>>();
    for (const Variant& variant : kVariants) {
      // All matrices in one optimizer, as in training.
      ToyModel model;
      for (int k = 0; f.tensors.contains(fmt::format("muon{}.p0", k)); ++k) {
        model.add(fmt::format("muon{}", k), ParameterKind::kMatrix,
                  f.tensors.tensor(fmt::format("muon{}.p0", k)));
      }
      Muon muon(backend(), model.one_group(settings.at("lr").get<double>()),
                {.momentum = [&](int64_t step) { return momentum.at(static_cast<size_t>(step)); },
                 .newton_schulz = {.iterations = settings.at("ns_steps").get<int>(),
                                   .dtype = variant.dtype}});
      std::vector<Tensor> expected_before;
      for (const Parameter& p : model.parameters) expected_before.push_back(p.value.clone());
      for (size_t step = 0; step < momentum.size(); ++step) {
        std::vector<Tensor> before;
        for (Parameter& p : model.parameters) {
          before.push_back(p.value.clone());
          p.grad = f.tensors.tensor(fmt::format("{}.grad{}", p.name, step));
        }
        muon.step({.step = static_cast<int64_t>(step)});
        for (size_t i = 0; i < model.parameters.size(); ++i) {
          const Parameter& p = model.parameters[i];
          const std::string name = fmt::format("{}.p{}_{}", p.name, step + 1, variant.name);
          SCOPED_TRACE(name);
          const Tensor expected = f.tensors.tensor(name);
          expect_within(difference(p.value, before[i]), difference(expected, expected_before[i]),
                        variant);
          expected_before[i] = expected;
          ++cases;
        }
      }
    }
    return cases;
  });
}

TEST_P(UnitsParityTest, AdamWSteps) {
  for_each_fixture([&](const Fixture& f) {
    const nlohmann::json& settings = f.json.at("adamw");
    ToyModel model;
    model.add("adamw", ParameterKind::kEmbedding, f.tensors.tensor("adamw.p0"));
    AdamW adamw(backend(), model.one_group(settings.at("lr").get<double>()),
                {.beta1 = settings.at("betas").at(0).get<double>(),
                 .beta2 = settings.at("betas").at(1).get<double>(),
                 .eps = settings.at("eps").get<double>(),
                 .weight_decay = settings.at("weight_decay").get<double>()});
    int step = 0;
    for (; f.tensors.contains(fmt::format("adamw.grad{}", step)); ++step) {
      SCOPED_TRACE(fmt::format("step {}", step));
      model.parameters[0].grad = f.tensors.tensor(fmt::format("adamw.grad{}", step));
      adamw.step({.step = step});
      EXPECT_LE(test::max_abs_over_max(model.parameters[0].value,
                                       f.tensors.tensor(fmt::format("adamw.p{}", step + 1))),
                kMaxOverMaxF32);
    }
    return step;
  });
}

}  // namespace
}  // namespace nanochat
