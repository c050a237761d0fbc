// labels: parity
// A plan is what upstream's base_train derives from the same settings, for every case there is.
#include <cmath>
#include <string>

#include <gtest/gtest.h>

#include "optim/modern_schedules.h"
#include "support/fixtures.h"
#include "train/plan.h"

namespace nanochat {
namespace {

using nlohmann::json;

constexpr const char* kClassic = "classic/schedules*.json";
constexpr const char* kModern = "modern/schedules*.json";

void expect_relative(double actual, const json& expected) {
  const auto e = expected.get<double>();
  EXPECT_LE(std::abs(actual - e), 1e-12 * std::abs(e)) << actual << " is not " << e;
}

// f(case) for every training case of every file.
template <typename F>
void for_each_case(const char* pattern, F&& f) {
  const auto paths = test::find_fixtures(pattern);
  if (paths.empty()) GTEST_SKIP() << test::missing_fixture(pattern);
  for (const auto& path : paths) {
    const json file = test::load_json(path);
    ASSERT_FALSE(file.at("cases").empty());
    for (const json& c : file.at("cases")) {
      SCOPED_TRACE(path.string() + " " + c.at("settings").dump());
      f(c);
    }
  }
}

Plan plan_of(Recipe recipe, const json& c) {
  const json& settings = c.at("settings");
  PlanOptions o;
  o.recipe = recipe;
  o.vocab_size = c.at("vocab_size").get<int64_t>();
  o.depth = settings.at("depth").get<int64_t>();
  o.sequence_len = settings.value("max_seq_len", o.sequence_len);
  o.device_batch_size = settings.value("device_batch_size", o.device_batch_size);
  o.total_batch_size = settings.value("total_batch_size", o.total_batch_size);
  o.num_iterations = settings.value("num_iterations", o.num_iterations);
  o.target_flops = settings.value("target_flops", o.target_flops);
  if (settings.contains("target_param_data_ratio")) {
    o.target_param_data_ratio = settings.at("target_param_data_ratio").get<double>();
  }
  o.weight_decay = settings.value("weight_decay", o.weight_decay);
  o.aspect_ratio = settings.value("aspect_ratio", o.aspect_ratio);
  o.head_dim = settings.value("head_dim", o.head_dim);
  o.window_pattern = settings.value("window_pattern", o.window_pattern);
  return make_plan(o, {.name = "h100", .count = c.at("world_size").get<int64_t>()});
}

// What both recipes have.
void expect_same_run(const Plan& p, const json& c) {
  const json& config = c.at("model_config");
  EXPECT_EQ(p.n_embd, config.at("n_embd").get<int64_t>());
  EXPECT_EQ(p.n_head, config.at("n_head").get<int64_t>());
  EXPECT_EQ(p.n_kv_head, config.at("n_kv_head").get<int64_t>());
  EXPECT_EQ(p.options.depth, config.at("n_layer").get<int64_t>());
  EXPECT_EQ(p.options.sequence_len, config.at("sequence_len").get<int64_t>());
  EXPECT_EQ(p.flops_per_token, std::llround(c.at("flops_per_token").get<double>()));
  EXPECT_EQ(p.total_batch_size, c.at("total_batch_size").get<int64_t>());
  EXPECT_EQ(p.grad_accum_steps, c.at("grad_accum_steps").get<int64_t>());
  EXPECT_EQ(p.num_iterations, c.at("num_iterations").get<int64_t>());
  EXPECT_EQ(p.total_tokens, c.at("total_tokens").get<int64_t>());
  // Rates given by hand are no business of a plan.
  const json& settings = c.at("settings");
  if (settings.contains("embedding_lr") || settings.contains("unembedding_lr") ||
      settings.contains("matrix_lr") || settings.contains("scalar_lr")) {
    return;
  }
  EXPECT_EQ(p.learning_rates.size(), c.at("lr").size());
  for (const auto& [group, rate] : p.learning_rates) {
    SCOPED_TRACE(group);
    expect_relative(rate, c.at("lr").at(group));
  }
}

TEST(PlanParityTest, ClassicRunsAreUpstreams) {
  for_each_case(kClassic, [](const json& c) {
    const Plan p = plan_of(Recipe::kClassic, c);
    expect_same_run(p, c);
    EXPECT_EQ(p.params.total(), c.at("num_params").get<int64_t>());
    EXPECT_EQ(p.scaling_params, c.at("num_params").get<int64_t>());
    expect_relative(p.weight_decay, c.at("adamw_weight_decay"));
  });
}

TEST(PlanParityTest, ModernRunsAreUpstreams) {
  for_each_case(kModern, [](const json& c) {
    const Plan p = plan_of(Recipe::kModern, c);
    expect_same_run(p, c);
    const json& counts = c.at("param_counts");
    EXPECT_EQ(p.params.wte, counts.at("wte").get<int64_t>());
    EXPECT_EQ(p.params.value_embeds, counts.at("value_embeds").get<int64_t>());
    EXPECT_EQ(p.params.lm_head, counts.at("lm_head").get<int64_t>());
    EXPECT_EQ(p.params.transformer_matrices, counts.at("transformer_matrices").get<int64_t>());
    EXPECT_EQ(p.params.scalars, counts.at("scalars").get<int64_t>());
    EXPECT_EQ(p.params.total(), counts.at("total").get<int64_t>());
    EXPECT_EQ(p.num_matmul_params, c.at("num_matmul_params").get<int64_t>());
    EXPECT_EQ(p.scaling_params, c.at("num_scaling_params").get<int64_t>());
    EXPECT_EQ(p.target_tokens, c.at("target_tokens").get<int64_t>());
    expect_relative(p.reference_tokens, c.at("D_REF"));
    expect_relative(p.batch_lr_scale, c.at("batch_lr_scale"));
    expect_relative(p.weight_decay, c.at("weight_decay_scaled"));
    EXPECT_EQ(p.window_sizes, c.at("window_sizes").get<std::vector<int64_t>>());
  });
}

TEST(PlanParityTest, ModernInferenceEstimatesAreUpstreams) {
  for_each_case(kModern, [](const json& c) {
    if (!c.contains("inference_estimates_bf16")) return;
    const Plan p = plan_of(Recipe::kModern, c);
    const PlanOptions& o = p.options;
    const ModernConfig config = ModernConfig::from_depth(
        o.depth, o.vocab_size, o.sequence_len, o.aspect_ratio, o.head_dim, o.window_pattern);
    const json& estimates = c.at("inference_estimates_bf16");
    EXPECT_EQ(config.kv_bytes_per_token(2), estimates.at("kv_bytes_per_token").get<int64_t>());
    const auto expect_table = [&](const char* name, auto f) {
      for (const auto& [n, expected] : estimates.at(name).items()) {
        EXPECT_EQ(f(std::stoll(n)), std::llround(expected.template get<double>()))
            << name << " " << n;
      }
    };
    expect_table("decode_flops", [&](int64_t n) { return config.decode_flops(n); });
    expect_table("prefill_flops", [&](int64_t n) { return config.prefill_flops(n); });
    expect_table("kv_read_bytes", [&](int64_t n) { return config.kv_read_bytes(n, 2); });
  });
}

TEST(PlanParityTest, ModernSchedulesAreUpstreams) {
  for_each_case(kModern, [](const json& c) {
    const json& settings = c.at("settings");
    ModernLrScheduleConfig config;
    config.warmup_steps = settings.value("warmup_steps", config.warmup_steps);
    config.warmdown_ratio = settings.value("warmdown_ratio", config.warmdown_ratio);
    config.final_lr_frac = settings.value("final_lr_frac", config.final_lr_frac);
    const auto N = c.at("num_iterations").get<int64_t>();
    const double decay = plan_of(Recipe::kModern, c).weight_decay;
    const json& table = c.at("schedule");
    ASSERT_FALSE(table.at("it").empty());
    for (size_t i = 0; i < table.at("it").size(); ++i) {
      const auto step = table.at("it").at(i).get<int64_t>();
      SCOPED_TRACE(step);
      expect_relative(modern_lr_multiplier(step, N, config), table.at("lr_multiplier").at(i));
      expect_relative(modern_muon_momentum(step, N, config), table.at("muon_momentum").at(i));
      // Near the end 1 + cos() is a small difference of large numbers.
      EXPECT_NEAR(modern_muon_weight_decay(step, N, decay),
                  table.at("muon_weight_decay").at(i).get<double>(), 1e-15 * decay);
    }
  });
}

}  // namespace
}  // namespace nanochat
