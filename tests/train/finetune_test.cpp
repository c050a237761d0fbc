#include "train/finetune.h"

#include <algorithm>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "core/error.h"
#include "optim/schedules.h"
#include "support/refusal.h"
#include "train/stage_fixture.h"

namespace nanochat {
namespace {

using test::small_tokenizer;

class FinetuneTest : public test::StageTest {
 protected:
  FinetuneTest() : config_(sft_defaults()) {
    config_.num_iterations = 8;
    config_.device_batch_size = 2;
    config_.examples_per_step = 6;
    config_.total_batch_size = 4 * 64;
    config_.init_lr_frac = 0.2;
    config_.dtype = "f32";
    config_.sample_every = 0;
    input_ = {.source = source_,
              .source_name = "base:d1@3",
              .train = test::counting_task(50),
              .val = test::counting_task(9)};
  }
  StageResult train(const StageRun& run, const std::string& stage = "sft") {
    input_.source = source_;
    return finetune(stage, config_, input_, small_tokenizer(), run);
  }
  std::string refused(const std::string& name = "refused", const std::string& resume = "") {
    return test::refusal<UsageError>([&] { static_cast<void>(train(run_named(name, resume))); });
  }

  FinetuneConfig config_;
  FinetuneInput input_;
};

TEST_F(FinetuneTest, LowersTheLossAndLeavesWhatARunLeaves) {
  config_.num_iterations = 30;
  config_.init_lr_frac = 1;
  config_.eval_every = 15;
  config_.sample_every = -1;
  config_.sample_tokens = 5;
  const StageResult r = train(run_named("a"));
  EXPECT_EQ(r.step, 30);
  const std::map<int64_t, double> loss = series("a", "train/loss");
  ASSERT_EQ(loss.size(), 30);
  EXPECT_LT(loss.at(29), loss.at(0) / 1.5);
  const std::map<int64_t, double> val = series("a", "val/loss");
  EXPECT_EQ(val.size(), 3);  // 0, 15, 30
  EXPECT_LT(val.at(30), val.at(0) / 1.5);
  EXPECT_EQ(r.measures.at("val_loss"), val.at(30));
  const std::map<int64_t, double> bpb = series("a", "val/bpb");
  EXPECT_EQ(r.measures.at("val_bpb"), bpb.at(30));
  EXPECT_EQ(r.measures.at("min_val_bpb"), std::min(bpb.at(15), bpb.at(30)));
  EXPECT_EQ(metrics_of("a").at(30).at("samples").size(), config_.sample_prompts.size());
  EXPECT_TRUE(std::filesystem::exists(folder_of("a") / "config.toml"));
  const Checkpoint checkpoint(r.checkpoint);
  EXPECT_EQ(checkpoint.state().at("stage"), "sft");
  EXPECT_EQ(checkpoint.state().at("data").at("next"), 180);
  EXPECT_EQ(r.total_tokens, checkpoint.state().at("tokens"));
  double supervised = 0, tokens = 0;
  for (const auto& [step, n] : series("a", "train/supervised")) supervised += n;
  for (const auto& [step, n] : series("a", "train/tokens")) tokens += n;
  EXPECT_EQ(tokens, static_cast<double>(r.total_tokens));
  EXPECT_LT(supervised, tokens / 1.5);
}

TEST_F(FinetuneTest, StoppedAndResumedItEndsTheSameToTheBitInEveryPacking) {
  for (const char* const packing : {"rows", "bestfit", "stream"}) {
    SCOPED_TRACE(packing);
    config_.packing = packing;
    const std::string whole = std::string("whole-") + packing,
                      parts = std::string("parts-") + packing;
    static_cast<void>(train(run_named(whole)));
    EXPECT_EQ(train(stopping_run(parts, 3)).step, 3);
    EXPECT_EQ(train(stopping_run(parts, 4, "latest")).step, 4);
    source_ = "/gone";  // the run has all that it needs
    EXPECT_EQ(train(run_named(parts, "latest")).step, 8);
    source_ = folder_of("source") / checkpoint_name(3);
    expect_same_end(whole, parts, 8);
  }
}

TEST_F(FinetuneTest, TakesAsManyOptimizerStepsAsItIsTold) {
  // Upstream counts micro-batches against num_iterations, and leaves the last step out.
  for (const char* const packing : {"rows", "bestfit", "stream"}) {
    for (const int64_t n : {1, 3}) {
      config_.packing = packing;
      config_.num_iterations = n;
      const std::string name = std::string(packing) + std::to_string(n);
      EXPECT_EQ(train(run_named(name)).step, n);
      EXPECT_EQ(count_steps(name), n);
      EXPECT_NE(file_of(name, n, "model.safetensors"), file_of("source", 3, "model.safetensors"));
    }
  }
}

TEST_F(FinetuneTest, EpochsAreCountedIntoSteps) {
  config_.num_iterations = -1;
  config_.num_epochs = 2;
  EXPECT_EQ(train(run_named("rows")).num_iterations, 2 * 50 / 6);
  int64_t tokens = 0;
  for (int64_t i = 0; i < 50; ++i) {
    tokens += std::ssize(
        render_conversation(small_tokenizer(), input_.train->example(i).conversation).ids);
  }
  config_.packing = "stream";
  config_.num_epochs = 1;
  EXPECT_EQ(train(run_named("stream")).num_iterations, (tokens - 1) / 64 / 4);
}

TEST_F(FinetuneTest, RatesFollowUpstreamsSchedules) {
  config_.num_iterations = 10;
  static_cast<void>(train(run_named("sft")));
  for (const auto& [step, rate] : series("sft", "train/lrm")) {
    EXPECT_DOUBLE_EQ(rate, linear_lr_multiplier(step, 10)) << step;
  }
  config_.warmdown_ratio = mid_defaults().warmdown_ratio;
  static_cast<void>(train(run_named("mid"), "mid"));
  for (const auto& [step, rate] : series("mid", "train/lrm")) {
    EXPECT_NEAR(rate, mid_lr_multiplier(static_cast<double>(step) / 10), 1e-12) << step;
  }
}

TEST_F(FinetuneTest, LoadsTheMomentumOfTheSourceAndNothingElseOfItsOptimizer) {
  config_.weight_decay = 0.125;
  const auto state_at_start = [&](const std::string& name) {
    static_cast<void>(train(stopping_run(name, 0)));
    test::SmallRun run(1, test::chat_config());
    const Checkpoint checkpoint(folder_of(name) / checkpoint_name(0));
    checkpoint.load_optimizer(cpu_backend(), state_of(run.optimizer));
    return run.state();
  };
  test::SmallRun source(1, test::chat_config());
  Checkpoint(source_).load_optimizer(cpu_backend(), state_of(source.optimizer));
  const test::StateCopy expected = source.state();
  const test::StateCopy fresh = state_at_start("fresh");
  config_.load_optimizer = true;
  const test::StateCopy loaded = state_at_start("loaded");
  EXPECT_EQ(loaded.integers, expected.integers);
  EXPECT_EQ(loaded.reals, fresh.reals);
  EXPECT_EQ(loaded.reals.at("adamw.weight_decay"), 0.125);
  EXPECT_NEAR(loaded.reals.at("muon.matrices.initial_lr"), 0.02 * 0.2, 1e-15);
  for (const auto& [name, tensor] : expected.tensors) {
    EXPECT_TRUE(test::same_bytes(tensor, loaded.tensors.at(name))) << name;
    EXPECT_FALSE(test::same_bytes(tensor, fresh.tensors.at(name))) << name;
  }
}

TEST_F(FinetuneTest, ExamsAreTakenWhenTheyAreDue) {
  config_.num_iterations = 40;
  config_.init_lr_frac = 1;
  config_.chat_eval_every = 20;
  config_.chat_eval_problems = 5;
  // Every answer ends alike; what it is before is learned too, in part.
  std::vector<Conversation> same(10, test::asked_and_answered("say yes", "yes"));
  input_.train = std::make_shared<test::ToyTask>(same);
  input_.exams = {std::make_shared<test::ToyTask>(
      same, [](int64_t, std::string_view text) { return text == "yes" ? 1 : 0; })};
  const StageResult r = train(run_named("a"));
  const std::map<int64_t, double> accuracy = series("a", "chat/Toy");
  ASSERT_EQ(accuracy.size(), 2);
  EXPECT_EQ(accuracy.at(40), 1);
  EXPECT_EQ(r.measures.at("chat").at("Toy"), 1);
}

TEST_F(FinetuneTest, WhatDoesNotFitTogetherIsRefusedInOneLine) {
  config_.num_iterations = -1;
  config_.examples_per_step = 51;
  EXPECT_SAYS(refused(), "--examples-per-step");
  config_.packing = "stream";
  config_.total_batch_size = 4 * 64 + 1;
  EXPECT_SAYS(refused(), "257");
  config_.packing = "rows";
  config_.examples_per_step = 6;
  config_.num_epochs = 0;
  EXPECT_SAYS(refused(), "--num-epochs");
  config_.num_epochs = 1;
  config_.sequence_len = 100000;
  EXPECT_SAYS(refused(), "--sequence-len 100000");
  config_.sequence_len = 0;
  config_.device_batch_size = 0;
  EXPECT_SAYS(refused(), "--device-batch-size");
  EXPECT_TRUE(list_checkpoints(folder_of("refused")).empty());
}

TEST_F(FinetuneTest, AnAbsentSourceOrAnotherTokenizerIsRefused) {
  const std::filesystem::path source = source_;
  source_ = "/nowhere/step_000001";
  EXPECT_SAYS(test::refusal<NotFoundError>([&] { static_cast<void>(train(run_named("a"))); }),
              "/nowhere");
  const Tokenizer other(test::small_vocabulary({"th"}));
  input_.source = source;
  EXPECT_SAYS(test::refusal<DataError>([&] {
                static_cast<void>(finetune("sft", config_, input_, other, run_named("a")));
              }),
              "--tokenizer");
}

TEST_F(FinetuneTest, AnotherStagesOrMixturesRunIsNotResumed) {
  static_cast<void>(train(run_named("a")));
  EXPECT_SAYS(
      test::refusal<DataError>([&] { static_cast<void>(train(run_named("a", "latest"), "mid")); }),
      "train mid");
  EXPECT_SAYS(refused("a"), "--resume latest");
  config_.init_lr_frac = 0.3;
  EXPECT_SAYS(refused("a", "latest"), "--init-lr-frac is 0.3, the run was begun with 0.2");
  config_.init_lr_frac = 0.2;
  config_.num_iterations = 9;
  input_.train = test::counting_task(49);
  EXPECT_SAYS(refused("a", "latest"), "begun with 50 conversations");
}

}  // namespace
}  // namespace nanochat
