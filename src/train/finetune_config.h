/// Every setting of midtraining and supervised finetuning, once. The two are one stage with two
/// sets of defaults, mid_defaults() and sft_defaults().
#pragma once

#include <concepts>
#include <cstdint>
#include <string>
#include <type_traits>
#include <vector>

#include "train/stage_settings.h"

namespace nanochat {

struct FinetuneConfig : OptimizerSettings,
                        CheckpointSettings,
                        MachineSettings,
                        SourceSettings,
                        TaskDataSettings {
  // Data
  std::vector<std::string> mixture{};
  std::vector<std::string> val{};
  std::string packing = "rows";
  std::string train_on = "assistant";
  int64_t sequence_len = 0;
  // Length of the run
  int64_t num_iterations = -1;
  int64_t num_epochs = 1;
  // Batch
  int64_t device_batch_size = 4;
  int64_t examples_per_step = 32;
  int64_t total_batch_size = 524288;
  // Evaluation
  int64_t eval_every = 100;
  int64_t eval_tokens = 262144;
  std::vector<std::string> chat_eval{};
  int64_t chat_eval_every = 200;
  int64_t chat_eval_problems = 1024;
  int64_t sample_every = -1;
  int64_t sample_tokens = 128;
  std::vector<std::string> sample_prompts = {"Hello! Who are you?", "Why is the sky blue?",
                                             "What is 12 * 7 + 5?",
                                             "How many e are in the word cheese?"};
};

/// Upstream's classic mid_train.
[[nodiscard]] FinetuneConfig mid_defaults();
/// Upstream's classic chat_sft.
[[nodiscard]] FinetuneConfig sft_defaults();

/// Calls f(SettingInfo, field) for each, in the order of --help. Config: FinetuneConfig, const or
/// not.
template <typename Config, typename F>
requires std::same_as<std::remove_const_t<Config>, FinetuneConfig>
void for_each_setting(Config& c, F&& f) {
  using enum OnResume;
  source_settings(c, f);

  const char* const kData = "Data";
  f(SettingInfo{"mixture", kData, kWarn, "TASK", "conversations to train on; may be repeated"},
    c.mixture);
  f(SettingInfo{"val", kData, kFree, "TASK",
                "conversations to measure the loss on; may be repeated"},
    c.val);
  task_data_settings(c, f);
  f(SettingInfo{"packing", kData, kMustMatch, "rows|bestfit|stream",
                "one conversation a row; rows filled with whole ones; rows cut from one stream"},
    c.packing);
  f(SettingInfo{"train-on", kData, kMustMatch, "assistant|all",
                "what the assistant says, or every token"},
    c.train_on);
  f(SettingInfo{"sequence-len", kData, kMustMatch, "TOKENS", "of a row; 0: the source's context"},
    c.sequence_len);

  const char* const kLength = "Length of the run";
  f(SettingInfo{"num-iterations", kLength, kWarn, "N", "optimizer steps; -1: by epochs"},
    c.num_iterations);
  f(SettingInfo{"num-epochs", kLength, kWarn, "N", "times through the mixture"}, c.num_epochs);

  const char* const kBatch = "Batch";
  f(SettingInfo{"device-batch-size", kBatch, kWarn, "N",
                "a micro-batch has room for so many rows of the full length; lower it when memory "
                "runs out"},
    c.device_batch_size);
  f(SettingInfo{"examples-per-step", kBatch, kWarn, "N",
                "conversations of an optimizer step (packing rows)"},
    c.examples_per_step);
  f(SettingInfo{"total-batch-size", kBatch, kWarn, "TOKENS",
                "of an optimizer step (packing bestfit and stream); a multiple of device batch x "
                "sequence length"},
    c.total_batch_size);

  source_optimizer_settings(c, f);
  optimizer_settings(c, f);

  const char* const kEval = "Evaluation";
  f(SettingInfo{"eval-every", kEval, kFree, "STEPS",
                "loss and bits per byte of --val, also at the start and the end; -1: at the end "
                "only"},
    c.eval_every);
  f(SettingInfo{"eval-tokens", kEval, kFree, "TOKENS", "at most, and at most once through"},
    c.eval_tokens);
  f(SettingInfo{"chat-eval", kEval, kFree, "TASK",
                "examine the model in it (arc-easy:test, gsm8k:test); may be repeated"},
    c.chat_eval);
  f(SettingInfo{"chat-eval-every", kEval, kFree, "STEPS", "also at the end; -1: at the end only"},
    c.chat_eval_every);
  f(SettingInfo{"chat-eval-problems", kEval, kFree, "N", "the first so many of each; -1: all"},
    c.chat_eval_problems);
  f(SettingInfo{"sample-every", kEval, kFree, "STEPS",
                "answer the prompts, also at the end; -1: at the end only; 0: never"},
    c.sample_every);
  f(SettingInfo{"sample-tokens", kEval, kFree, "N", "of an answer, at most"}, c.sample_tokens);
  f(SettingInfo{"sample-prompt", kEval, kFree, "TEXT", "may be repeated"}, c.sample_prompts);

  checkpoint_settings(c, f);
  machine_settings(c, f);
}

}  // namespace nanochat
