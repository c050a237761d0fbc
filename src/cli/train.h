/// nanochat train base, as the command line gave it.
#pragma once

#include <cstdint>
#include <string>

#include "cli/commands.h"
#include "train/base_config.h"

namespace nanochat::cli {

struct TrainBaseOptions {
  BaseTrainConfig config;
  std::string run;         ///< name of the run; empty: d<depth>
  std::string resume;      ///< "", "latest" or a step
  bool overwrite = false;  ///< drop what an earlier run of the name has left
  int64_t profile = 0;     ///< steps to write a trace of
};
void run_train_base(const CommonOptions& common, const TrainBaseOptions& options);

}  // namespace nanochat::cli
