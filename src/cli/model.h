/// Commands about a trained model: nanochat eval loss, nanochat sample.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cli/commands.h"

namespace nanochat::cli {

struct EvalLossOptions {
  std::string model;      ///< stage:tag@step, every part optional, or a path (train/model_name.h)
  std::string tokenizer;  ///< empty: the checkpoint's own
  std::vector<std::string> data, val_data;  ///< empty: what the model was trained with
  std::string text_field, txt_separator;    ///< likewise
  int64_t device_batch_size = 32;
  int64_t split_tokens = 20 * 524288;
  std::string device = "auto";
  std::string dtype = "auto";
  std::string quantize = "none";  ///< "int8": also with weights rounded so, and the difference
};
void run_eval_loss(const CommonOptions& common, const EvalLossOptions& options);

struct SampleOptions {
  std::string model;
  std::string tokenizer;
  std::vector<std::string> prompts;  ///< empty: upstream's seven
  int64_t max_new_tokens = 64;
  int64_t num_samples = 1;  ///< of each prompt
  double temperature = 0;
  int64_t top_k = 50;
  int64_t seed = 42;
  std::string device = "auto";
  std::string dtype = "auto";
  std::string quantize = "none";
};
void run_sample(const CommonOptions& common, const SampleOptions& options);

}  // namespace nanochat::cli
