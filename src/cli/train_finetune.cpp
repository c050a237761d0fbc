#include <string>

#include "cli/train.h"
#include "cli/train_source.h"
#include "core/error.h"
#include "tasks/registry.h"
#include "train/finetune.h"

namespace nanochat::cli {

void run_train_finetune(const CommonOptions& common, const TrainFinetuneOptions& options) {
  FinetuneConfig config = options.config;
  if (config.sample_prompts.size() == 1 && config.sample_prompts[0].empty()) {
    config.sample_prompts.clear();
  }
  if (config.val.size() == 1 && config.val[0].empty()) config.val.clear();
  const StageSource source = find_source(common, options.stage, config, options.run);
  const TaskData data{.base_dir = common.base_dir,
                      .folders = {config.task_data.begin(), config.task_data.end()}};
  FinetuneInput input{.source = source.checkpoint,
                      .source_name = source.name,
                      .train = make_mixture(config.mixture, data),
                      .val = config.val.empty() ? nullptr : make_mixture(config.val, data)};
  for (const std::string& spec : config.chat_eval) {
    input.exams.push_back(make_task(spec, data));
    if (input.exams.back()->eval_type() == EvalType::kNone) {
      throw UsageError("--chat-eval {}: there is no judge of its answers", spec);
    }
  }
  run_stage(common, options.stage, source.run_name, options.run, [&](const StageRun& run) {
    return finetune(options.stage, config, input, source.tokenizer, run);
  });
}

}  // namespace nanochat::cli
