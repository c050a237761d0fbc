/// nanochat train base, mid, sft, rl, as the command line gave them.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "cli/commands.h"
#include "train/base_config.h"
#include "train/finetune_config.h"
#include "train/rl_config.h"
#include "train/stage.h"

namespace nanochat::cli {

/// What every stage takes beside its settings.
struct RunFlags {
  std::string run;         ///< name of the run; empty: the stage's default
  std::string resume;      ///< "", "latest" or a step
  bool overwrite = false;  ///< drop what an earlier run of the name has left
  int64_t profile = 0;     ///< steps to write a trace of
};

struct TrainBaseOptions {
  BaseTrainConfig config;
  RunFlags run;
};
void run_train_base(const CommonOptions& common, const TrainBaseOptions& options);

struct TrainFinetuneOptions {
  std::string stage;  ///< "mid" or "sft"
  FinetuneConfig config;
  RunFlags run;
};
void run_train_finetune(const CommonOptions& common, const TrainFinetuneOptions& options);

struct TrainRlOptions {
  RlConfig config;
  RunFlags run;
};
void run_train_rl(const CommonOptions& common, const TrainRlOptions& options);

/// The folder of the run, <base>/runs/<stage>/<name>. Throws UsageError for a name that is none.
[[nodiscard]] std::filesystem::path stage_folder(const CommonOptions& common,
                                                 const std::string& stage, const std::string& name);
/// Runs `train` so that Ctrl-C and SIGTERM let it save, and prints what came of it. Throws
/// Interrupted when it was.
void run_stage(const CommonOptions& common, const std::string& stage, const std::string& name,
               const RunFlags& flags, const std::function<StageResult(const StageRun&)>& train);

}  // namespace nanochat::cli
