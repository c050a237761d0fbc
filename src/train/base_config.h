/// Every setting of pretraining, once: name, default, group and help.
#pragma once

#include <concepts>
#include <cstdint>
#include <string>
#include <type_traits>
#include <vector>

#include "train/stage_settings.h"

namespace nanochat {

/// Defaults are upstream's classic base_train.
struct BaseTrainConfig : OptimizerSettings, CheckpointSettings, MachineSettings {
  // Model
  int64_t depth = 20;
  int64_t sequence_len = 2048;
  // Data
  std::vector<std::string> data{};
  std::vector<std::string> val_data{};
  std::string tokenizer = "default";
  std::string packing = "stream";
  std::string text_field = "text";
  std::string txt_separator{};
  bool skip_bad_shards = false;
  // Length of the run
  int64_t num_iterations = -1;
  double target_flops = -1;
  double target_param_data_ratio = 20;
  // Batch
  int64_t device_batch_size = 32;
  int64_t total_batch_size = 524288;
  // Evaluation
  int64_t eval_every = 250;
  int64_t eval_tokens = 20 * 524288;
  int64_t core_metric_every = 2000;
  int64_t core_metric_max_per_task = 500;
  std::string core_bundle{};
  int64_t sample_every = 2000;
  std::vector<std::string> sample_prompts = {"The capital of France is",
                                             "The chemical symbol of gold is",
                                             "If yesterday was Friday, then tomorrow will be",
                                             "The opposite of hot is",
                                             "The planets of the solar system are:",
                                             "My favorite color is",
                                             "If 5*x + 3 = 13, then x is"};
};

/// Calls f(SettingInfo, field) for each, in the order of --help. Config: BaseTrainConfig, const or
/// not.
template <typename Config, typename F>
requires std::same_as<std::remove_const_t<Config>, BaseTrainConfig>
void for_each_setting(Config& c, F&& f) {
  using enum OnResume;
  const char* const kModel = "Model";
  f(SettingInfo{"depth", kModel, kMustMatch, "N",
                "layers; the one dial: width 64 x depth, heads of 128"},
    c.depth);
  f(SettingInfo{"sequence-len", kModel, kMustMatch, "TOKENS", "context"}, c.sequence_len);

  const char* const kData = "Data";
  f(SettingInfo{"data", kData, kFree, "PATH",
                "files, folders or globs: .parquet, .jsonl, .txt (also .gz, .zst), .tok; may be "
                "repeated. Default: what nanochat data has put into the base folder"},
    c.data);
  f(SettingInfo{"val-data", kData, kFree, "PATH",
                "validation text. Default: the last file of --data, or the last tenth of a single "
                "one"},
    c.val_data);
  f(SettingInfo{"tokenizer", kData, kFree, "NAME|PATH",
                "a name in the base folder, or a file or folder of any format"},
    c.tokenizer);
  f(SettingInfo{"packing", kData, kMustMatch, "stream|bestfit",
                "rows of a batch: cut from one stream of documents, or packed with whole ones"},
    c.packing);
  f(SettingInfo{"text-field", kData, kWarn, "NAME", "column or key that holds the text"},
    c.text_field);
  f(SettingInfo{"txt-separator", kData, kWarn, "TEXT",
                "what separates the documents of a .txt file (\\n allowed); none: one document"},
    c.txt_separator);
  f(SettingInfo{"skip-bad-shards", kData, kFree, "",
                "go on after a file that is corrupt, and count them"},
    c.skip_bad_shards);

  const char* const kLength = "Length of the run (the first that is positive)";
  f(SettingInfo{"num-iterations", kLength, kWarn, "N", "optimizer steps"}, c.num_iterations);
  f(SettingInfo{"target-flops", kLength, kWarn, "FLOPS", "floating point operations of the run"},
    c.target_flops);
  f(SettingInfo{"target-param-data-ratio", kLength, kWarn, "X", "tokens for each parameter"},
    c.target_param_data_ratio);

  const char* const kBatch = "Batch";
  f(SettingInfo{"device-batch-size", kBatch, kWarn, "N",
                "sequences of a micro-batch; lower it when memory runs out"},
    c.device_batch_size);
  f(SettingInfo{"total-batch-size", kBatch, kWarn, "TOKENS",
                "of an optimizer step; a multiple of device batch x sequence length"},
    c.total_batch_size);

  optimizer_settings(c, f);

  const char* const kEval = "Evaluation";
  f(SettingInfo{"eval-every", kEval, kFree, "STEPS",
                "bits per byte on the validation text, also at the start and the end; -1: at the "
                "end only"},
    c.eval_every);
  f(SettingInfo{"eval-tokens", kEval, kFree, "TOKENS", "at most, and at most once through"},
    c.eval_tokens);
  f(SettingInfo{"core-metric-every", kEval, kFree, "STEPS",
                "the CORE metric, also at the end; -1: at the end only; 0: never. Left out where "
                "its bundle is not there"},
    c.core_metric_every);
  f(SettingInfo{"core-metric-max-per-task", kEval, kFree, "N", "examples of each task; -1: all"},
    c.core_metric_max_per_task);
  f(
      SettingInfo{
          "core-bundle", kEval, kFree, "FOLDER",
          "tasks of the metric. Default: what nanochat data download core-eval-bundle fetched"},
      c.core_bundle);
  f(SettingInfo{"sample-every", kEval, kFree, "STEPS",
                "continue the prompts, also at the end; -1: at the end only; 0: never"},
    c.sample_every);
  f(SettingInfo{"sample-prompt", kEval, kFree, "TEXT", "may be repeated"}, c.sample_prompts);

  checkpoint_settings(c, f);
  machine_settings(c, f);
}

}  // namespace nanochat
