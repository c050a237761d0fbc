#include "cli/train.h"
#include "cli/train_source.h"
#include "tasks/registry.h"
#include "train/rl.h"

namespace nanochat::cli {

void run_train_rl(const CommonOptions& common, const TrainRlOptions& options) {
  const RlConfig& config = options.config;
  const StageSource source = find_source(common, "rl", config, options.run);
  const TaskData data{.base_dir = common.base_dir,
                      .folders = {config.task_data.begin(), config.task_data.end()}};
  const RlInput input{
      .source = source.checkpoint,
      .source_name = source.name,
      .train = make_task(config.task, data),
      .eval = config.eval_task.empty() ? nullptr : make_task(config.eval_task, data)};
  run_stage(common, "rl", source.run_name, options.run,
            [&](const StageRun& run) { return train_rl(config, input, source.tokenizer, run); });
}

}  // namespace nanochat::cli
