/// nanochat eval core and chat, as the command line gave them. (eval loss is in cli/model.h.)
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cli/commands.h"
#include "cli/loaded_model.h"

namespace nanochat::cli {

struct EvalCoreOptions {
  InferenceOptions model{.model = "base"};
  std::string bundle{};              ///< empty: where data download puts it, or upstream does
  std::vector<std::string> tasks{};  ///< labels; empty: all
  int64_t max_per_task = -1;
  int64_t max_seq_len = 0;  ///< 0: all positions that the model knows
  int64_t batch_size = 32;
  std::string records{};  ///< a file; empty: none
  std::string csv{};      ///< a file; empty: <base>/eval/<model>-core.csv
};
void run_eval_core(const CommonOptions& common, const EvalCoreOptions& options);

struct EvalChatOptions {
  InferenceOptions model{};
  std::string source{}, model_tag{};  ///< as upstream names models: with `step`, for model.model
  int64_t step = -1;
  std::vector<std::string> tasks{"all"};  ///< also several in one, with | or , between
  std::vector<std::string> task_data{};   ///< folders to look in first
  int64_t max_problems = -1;
  int64_t batch_size = 16;
  int64_t num_samples = 1;
  int64_t max_new_tokens = 512;
  double temperature = 0;
  int64_t top_k = 50;
  int64_t seed = 42;
  std::string tools = "calculator";
  std::string records{};
};
void run_eval_chat(const CommonOptions& common, const EvalChatOptions& options);

}  // namespace nanochat::cli
