/// Reinforcement learning: a chat model learns from what its own answers were worth.
#pragma once

#include <filesystem>
#include <string>

#include "tasks/task.h"
#include "tokenizer/tokenizer.h"
#include "train/rl_config.h"
#include "train/stage.h"

namespace nanochat {

struct RlInput {
  std::filesystem::path source;  ///< the checkpoint to go on from; not needed when resuming
  std::string source_name;       ///< for people
  TaskPtr train;
  TaskPtr eval;  ///< null: the end of `train` is held out for it
};

/// Upstream's chat_rl (rollout_source.h has the maths): in each step some questions, several
/// answers to each in one batch of the engine with the calculator at hand, rewards by the task, one
/// update. Measures "reward", of the last step, and "pass@1", ..., "pass@<eval_samples>" on
/// "eval_task"; an answer passes when its reward is 1.
///
/// Upstream measures pass@k on the test questions while it trains. Here they are questions of the
/// training split that are held out, unless others are given; the log and the metrics say which.
///
/// Throws as train_base; UsageError for a task without rewards.
[[nodiscard]] StageResult train_rl(const RlConfig& config, const RlInput& input,
                                   const Tokenizer& tokenizer, const StageRun& run);

}  // namespace nanochat
