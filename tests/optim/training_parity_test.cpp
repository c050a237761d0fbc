// labels: parity
// Ten steps of upstream's base_train on fixed batches: losses, gradient norms, learning rates and
// final weights of every variant in the fixtures folder (bf16 and f32 orthogonalisation, weight
// decay, clipping, warmup).
#include <array>
#include <cmath>
#include <filesystem>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "core/arena.h"
#include "model/gpt.h"
#include "model/weights.h"
#include "optim/classic.h"
#include "optim/schedules.h"
#include "support/backends.h"
#include "support/compare.h"
#include "support/fixtures.h"

namespace nanochat {
namespace {

namespace fs = std::filesystem;

// fixtures/README.md, "fail above".
struct Limits {
  double loss_abs = 0, loss_rel = 0, weights_frobenius = 0;
};
constexpr Limits kF32Limits{.loss_rel = 1e-4, .weights_frobenius = 1e-3};
constexpr Limits kBf16Limits{.loss_abs = 5e-2, .weights_frobenius = 0.15};

class TrainingParityTest : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override { NC_SKIP_WITHOUT(GetParam()); }
};
INSTANTIATE_TEST_SUITE_P(, TrainingParityTest, test::AllBackends(), test::backend_name);

/// hyperparameters[name], unless the variant overrides it.
double setting(const nlohmann::json& fixture, const nlohmann::json& variant, const char* name) {
  if (variant.contains("overrides") && variant["overrides"].contains(name)) {
    return variant["overrides"][name];
  }
  return fixture.at("hyperparameters").at(name);
}

Batch batch_at(const SafetensorsFile& file, int64_t step) {
  const Tensor idx = file.tensor("idx"), targets = file.tensor("targets");  // (steps, B, T)
  const int64_t B = idx.dim(1), T = idx.dim(2), N = B * T;
  Batch batch{Tensor({N}, DType::kI32), Tensor({N}, DType::kI32), Tensor({N}, DType::kF32),
              TokenRuns::uniform(B, T)};
  for (int64_t n = 0; n < N; ++n) {
    batch.ids.data<int32_t>()[n] = static_cast<int32_t>(idx.data<int64_t>()[step * N + n]);
    batch.targets.data<int32_t>()[n] = static_cast<int32_t>(targets.data<int64_t>()[step * N + n]);
  }
  set_mean_weights(batch);
  return batch;
}

void run_variant(const nlohmann::json& fixture, const SafetensorsFile& file,
                 const std::string& name, const nlohmann::json& variant, Backend& backend) {
  const bool bf16 = variant.at("newton_schulz_dtype") == "bf16";
  const Limits limits = bf16 ? kBf16Limits : kF32Limits;
  nlohmann::json fields = fixture.at("config");
  fields["softcap"] = fixture.at("softcap");
  fields["rms_norm_eps"] = fixture.at("rms_norm_eps");
  fields["pad_vocab_to"] = 1;
  const GptConfig config = GptConfig::parse_json(fields.dump(), name);
  Gpt model(config, backend);
  load_weights(model, file, "w0.");
  ClassicOptimConfig optim{.n_embd = config.n_embd,
                           .unembedding_lr = setting(fixture, variant, "unembedding_lr"),
                           .embedding_lr = setting(fixture, variant, "embedding_lr"),
                           .matrix_lr = setting(fixture, variant, "matrix_lr"),
                           .weight_decay = setting(fixture, variant, "weight_decay"),
                           .grad_clip = setting(fixture, variant, "grad_clip")};
  optim.newton_schulz.dtype = bf16 ? DType::kBf16 : DType::kF32;
  ClassicOptimizer optimizer(backend, model.parameters(), optim, backend.allocator());
  const LrScheduleConfig schedule{.warmup_ratio = setting(fixture, variant, "warmup_ratio"),
                                  .warmdown_ratio = setting(fixture, variant, "warmdown_ratio"),
                                  .final_lr_frac = setting(fixture, variant, "final_lr_frac")};
  const int64_t N = fixture.at("num_iterations");

  Arena arena(backend.reserve_addresses());
  Tape tape(backend, arena);
  const auto near = [&](double expected) {
    return limits.loss_abs + limits.loss_rel * std::abs(expected);
  };
  for (const nlohmann::json& expected : variant.at("steps")) {
    const int64_t step = expected.at("step");
    SCOPED_TRACE(fmt::format("step {}", step));
    const Batch batch = batch_at(file, step);
    model.zero_grad();
    {
      const RecordingScope on(tape, true);
      const double loss = test::to_doubles(model.loss(tape, batch).total)[0];
      EXPECT_NEAR(loss, expected.at("loss").get<double>(), near(expected["loss"]));
    }
    tape.backward();
    tape.clear();
    const double multiplier = classic_lr_multiplier(step, N, schedule);
    EXPECT_DOUBLE_EQ(multiplier, expected.at("lrm").get<double>());
    EXPECT_DOUBLE_EQ(classic_muon_momentum(step), expected.at("muon_momentum").get<double>());
    const double norm = optimizer.step(step, multiplier);
    if (!bf16) {
      EXPECT_NEAR(norm, expected.at("grad_norm").get<double>(), near(expected["grad_norm"]));
    }
    model.refresh_compute_weights();
    for (const Parameter& p : model.parameters()) {
      const std::string key = fmt::format("{}.s1.{}", name, p.name);
      if (step == 0 && file.contains(key)) {
        EXPECT_LT(test::frobenius(p.value, file.tensor(key)), limits.weights_frobenius) << key;
      }
    }
  }
  const double last = test::to_doubles(model.loss(tape, batch_at(file, N - 1)).total)[0];
  const double expected_last = variant.at("loss_last_batch_after_training");
  EXPECT_NEAR(last, expected_last, near(expected_last));
  for (const Parameter& p : model.parameters()) {
    const std::string key = fmt::format("{}.final.{}", name, p.name);
    if (file.contains(key)) {
      EXPECT_LT(test::frobenius(p.value, file.tensor(key)), limits.weights_frobenius) << key;
    } else if (variant.contains("final_weight_rms")) {
      double square = 0;
      for (const double w : test::to_doubles(p.value)) square += w * w;
      const double rms = std::sqrt(square / static_cast<double>(p.value.numel()));
      const double expected = variant["final_weight_rms"].at(p.name);
      EXPECT_NEAR(rms, expected, limits.weights_frobenius * expected) << p.name;
    } else {
      ADD_FAILURE() << "the fixture says nothing about " << key;
    }
  }
}

TEST_P(TrainingParityTest, TenStepsAreUpstreams) {
  constexpr const char* kPattern = "classic/optim*.json";
  bool found = false;
  for (const fs::path& path : test::find_fixtures(kPattern)) {
    const nlohmann::json fixture = test::load_json(path);
    if (!fixture.contains("variants")) continue;  // optim_units.json
    found = true;
    const SafetensorsFile file(fs::path(path).replace_extension(".safetensors"));
    for (const auto& item : fixture.at("variants").items()) {
      SCOPED_TRACE(fmt::format("{} {}", path.filename().string(), item.key()));
      run_variant(fixture, file, item.key(), item.value(), test::backend_named(GetParam()));
    }
  }
  if (!found) GTEST_SKIP() << test::missing_fixture(kPattern);
}

}  // namespace
}  // namespace nanochat
