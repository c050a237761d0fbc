/// Every setting of reinforcement learning, once.
#pragma once

#include <concepts>
#include <cstdint>
#include <string>
#include <type_traits>
#include <vector>

#include "train/stage_settings.h"

namespace nanochat {

struct RlConfig : OptimizerSettings,
                  CheckpointSettings,
                  MachineSettings,
                  SourceSettings,
                  TaskDataSettings {
  // Data
  std::string task = "gsm8k:train";
  std::string eval_task{};
  // Length of the run
  int64_t num_iterations = -1;
  int64_t num_epochs = 1;
  // Rollouts
  int64_t examples_per_step = 16;
  int64_t num_samples = 16;
  int64_t max_new_tokens = 256;
  double temperature = 1.0;
  int64_t top_k = 50;
  int64_t slots = 0;
  // Batch
  int64_t device_batch_size = 8;
  // Evaluation
  int64_t eval_every = 60;
  int64_t eval_examples = 400;
  int64_t eval_samples = 8;

  /// Upstream's chat_rl.
  RlConfig() {
    init_lr_frac = 0.05;
    warmdown_ratio = 1;
    grad_clip = 0;
    save_every = 60;
  }
};

/// Calls f(SettingInfo, field) for each, in the order of --help. Config: RlConfig, const or not.
template <typename Config, typename F>
requires std::same_as<std::remove_const_t<Config>, RlConfig>
void for_each_setting(Config& c, F&& f) {
  using enum OnResume;
  source_settings(c, f);

  const char* const kData = "Data";
  f(SettingInfo{"task", kData, kWarn, "TASK", "questions with a reward"}, c.task);
  f(SettingInfo{"eval-task", kData, kWarn, "TASK",
                "what pass@k is measured on; default: the last --eval-examples of --task (a tenth "
                "at most), which are then not trained on"},
    c.eval_task);
  task_data_settings(c, f);

  const char* const kLength = "Length of the run";
  f(SettingInfo{"num-iterations", kLength, kWarn, "N", "optimizer steps; -1: by epochs"},
    c.num_iterations);
  f(SettingInfo{"num-epochs", kLength, kWarn, "N", "times through the questions"}, c.num_epochs);

  const char* const kRollouts = "Rollouts";
  f(SettingInfo{"examples-per-step", kRollouts, kWarn, "N", "questions of an optimizer step"},
    c.examples_per_step);
  f(SettingInfo{"num-samples", kRollouts, kWarn, "N", "answers to each question"}, c.num_samples);
  f(SettingInfo{"max-new-tokens", kRollouts, kWarn, "N", "of an answer"}, c.max_new_tokens);
  f(SettingInfo{"temperature", kRollouts, kWarn, "X", "0: always the most likely token"},
    c.temperature);
  f(SettingInfo{"top-k", kRollouts, kWarn, "N", "draw among so many most likely tokens; 0: all"},
    c.top_k);
  f(SettingInfo{"slots", kRollouts, kFree, "N",
                "answers written at a time; lower it when memory runs out; 0: all of a step"},
    c.slots);

  f(SettingInfo{"device-batch-size", "Batch", kWarn, "N",
                "a micro-batch has room for so many rows of the full context; lower it when memory "
                "runs out"},
    c.device_batch_size);

  source_optimizer_settings(c, f);
  optimizer_settings(c, f);

  const char* const kEval = "Evaluation";
  f(SettingInfo{"eval-every", kEval, kFree, "STEPS",
                "pass@k, also at the start and the end; -1: at the end only; 0: never"},
    c.eval_every);
  f(SettingInfo{"eval-examples", kEval, kWarn, "N", "questions of it, at most"}, c.eval_examples);
  f(SettingInfo{"eval-samples", kEval, kFree, "N", "answers to each: k goes up to it"},
    c.eval_samples);

  checkpoint_settings(c, f);
  machine_settings(c, f);
}

}  // namespace nanochat
