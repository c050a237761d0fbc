// labels: parity
// What upstream's base_train derives from its settings. Parameter and flop counts are inputs here;
// the model room's tests compare those.
#include <cmath>
#include <regex>
#include <string>

#include <gtest/gtest.h>

#include "optim/classic.h"
#include "optim/schedules.h"
#include "optim/toy_model.h"
#include "support/fixtures.h"

namespace nanochat {
namespace {

using nlohmann::json;

constexpr const char* kPattern = "classic/schedules*.json";

void expect_relative(double actual, const json& expected) {
  const double e = expected.get<double>();
  EXPECT_LE(std::abs(actual - e), 1e-12 * std::abs(e)) << actual << " is not " << e;
}

// f(case) for every training case of every file.
template <typename F>
void for_each_case(F&& f) {
  const auto paths = test::find_fixtures(kPattern);
  if (paths.empty()) GTEST_SKIP() << test::missing_fixture(kPattern);
  for (const auto& path : paths) {
    const json file = test::load_json(path);
    ASSERT_FALSE(file.at("cases").empty());
    for (const json& c : file.at("cases")) {
      SCOPED_TRACE(path.string() + " " + c.at("settings").dump());
      f(c);
    }
  }
}

TEST(SchedulesParityTest, HorizonAndBatch) {
  for_each_case([](const json& c) {
    const json& settings = c.at("settings");
    HorizonConfig horizon;
    horizon.num_iterations = settings.value("num_iterations", horizon.num_iterations);
    horizon.target_flops = settings.value("target_flops", horizon.target_flops);
    horizon.target_param_data_ratio =
        settings.value("target_param_data_ratio", horizon.target_param_data_ratio);
    const auto batch = c.at("total_batch_size").get<int64_t>();
    const int64_t n =
        classic_num_iterations(horizon, c.at("num_params").get<int64_t>(),
                               std::llround(c.at("flops_per_token").get<double>()), batch);
    EXPECT_EQ(n, c.at("num_iterations").get<int64_t>());
    EXPECT_EQ(n * batch, c.at("total_tokens").get<int64_t>());
    EXPECT_EQ(
        grad_accum_steps(batch, c.at("device_batch_size").get<int64_t>(),
                         c.at("max_seq_len").get<int64_t>(), c.at("world_size").get<int64_t>()),
        c.at("grad_accum_steps").get<int64_t>());
  });
}

TEST(SchedulesParityTest, LearningRatePerGroup) {
  for_each_case([](const json& c) {
    const json& settings = c.at("settings");
    ClassicOptimConfig config;
    config.n_embd = c.at("model_config").at("n_embd").get<int64_t>();
    config.unembedding_lr = settings.value("unembedding_lr", config.unembedding_lr);
    config.embedding_lr = settings.value("embedding_lr", config.embedding_lr);
    config.matrix_lr = settings.value("matrix_lr", config.matrix_lr);
    config.weight_decay = settings.value("weight_decay", config.weight_decay);
    test::ToyModel model = test::make_toy_model();
    ClassicOptimizer optimizer(reference_backend(), model.parameters, config);
    for (const ParameterGroup& group : optimizer.adamw.groups()) {
      SCOPED_TRACE(group.name);
      expect_relative(group.initial_lr, c.at("lr").at(group.name));
    }
    expect_relative(optimizer.muon.groups()[0].initial_lr, c.at("lr").at("muon"));
    expect_relative(test::SavedState(optimizer).reals.find("adamw.weight_decay")->second,
                    c.at("adamw_weight_decay"));
  });
}

TEST(SchedulesParityTest, MultiplierAndMomentumTables) {
  for_each_case([](const json& c) {
    const json& settings = c.at("settings");
    LrScheduleConfig config;
    config.warmup_ratio = settings.value("warmup_ratio", config.warmup_ratio);
    config.warmdown_ratio = settings.value("warmdown_ratio", config.warmdown_ratio);
    config.final_lr_frac = settings.value("final_lr_frac", config.final_lr_frac);
    const json& table = c.at("schedule");
    ASSERT_FALSE(table.at("it").empty());
    for (size_t i = 0; i < table.at("it").size(); ++i) {
      const auto step = table.at("it").at(i).get<int64_t>();
      SCOPED_TRACE(step);
      expect_relative(classic_lr_multiplier(step, c.at("num_iterations").get<int64_t>(), config),
                      table.at("lr_multiplier").at(i));
      expect_relative(classic_muon_momentum(step), table.at("muon_momentum").at(i));
    }
  });
}

TEST(SchedulesParityTest, Finetuning) {
  const auto paths = test::find_fixtures(kPattern);
  if (paths.empty()) GTEST_SKIP() << test::missing_fixture(kPattern);
  int found = 0;
  for (const auto& path : paths) {
    const json file = test::load_json(path);
    // Keys: "mid_train", and "chat_sft (num_iterations=50)": the length of the run is in the name.
    for (const auto& [name, functions] : file.at("finetune_schedules").items()) {
      SCOPED_TRACE(path.string() + " " + name);
      const json& table = functions.at("get_lr_multiplier");
      std::smatch length;
      const bool by_steps = std::regex_search(name, length, std::regex("=(\\d+)\\)"));
      if (!by_steps && name != "mid_train") continue;
      for (size_t i = 0; i < table.at("x").size(); ++i) {
        const auto x = table.at("x").at(i).get<double>();
        SCOPED_TRACE(x);
        expect_relative(by_steps ? linear_lr_multiplier(std::llround(x), std::stoll(length[1]))
                                 : mid_lr_multiplier(x),
                        table.at("y").at(i));
        ++found;
      }
    }
  }
  EXPECT_GT(found, 0);
}

// Modern's SFT goes by progress, ours by steps: the same, save in the warmup, where upstream begins
// at almost nothing and we at one step's share.
TEST(SchedulesParityTest, StagesByStepsFollowModernsSftByProgress) {
  constexpr const char* kModern = "modern/schedules*.json";
  const auto paths = test::find_fixtures(kModern);
  if (paths.empty()) GTEST_SKIP() << test::missing_fixture(kModern);
  const std::regex ratios(
      "warmup_ratio=([0-9.]+) warmdown_ratio=([0-9.]+) final_lr_frac=([0-9.]+)");
  int64_t found = 0;
  for (const auto& path : paths) {
    const json file = test::load_json(path);
    for (const auto& [name, functions] : file.at("finetune_schedules").items()) {
      SCOPED_TRACE(name);
      if (functions.contains("get_muon_momentum")) {
        const json& table = functions.at("get_muon_momentum");
        for (size_t i = 0; i < table.at("x").size(); ++i) {
          expect_relative(classic_muon_momentum(table.at("x").at(i)), table.at("y").at(i));
        }
      }
      std::smatch match;
      if (!std::regex_search(name, match, ratios)) continue;
      const LrScheduleConfig config{.warmup_ratio = std::stod(match[1]),
                                    .warmdown_ratio = std::stod(match[2]),
                                    .final_lr_frac = std::stod(match[3])};
      const json& table = functions.at("get_lr_multiplier");
      for (size_t i = 0; i < table.at("x").size(); ++i) {
        const auto x = table.at("x").at(i).get<double>();
        constexpr int64_t kSteps = 100;  // every x is so many of them
        if (x < config.warmup_ratio) continue;
        EXPECT_NEAR(classic_lr_multiplier(std::llround(x * kSteps), kSteps, config),
                    table.at("y").at(i).get<double>(), 1e-12)
            << x;
        ++found;
      }
    }
  }
  EXPECT_GT(found, 10);
}

}  // namespace
}  // namespace nanochat
