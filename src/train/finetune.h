/// Midtraining and supervised finetuning: from a base model to one that answers.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "tasks/task.h"
#include "tokenizer/tokenizer.h"
#include "train/finetune_config.h"
#include "train/stage.h"

namespace nanochat {

struct FinetuneInput {
  std::filesystem::path source;  ///< the checkpoint to go on from; not needed when resuming
  std::string source_name;       ///< for people
  TaskPtr train;
  TaskPtr val;                   ///< null: no loss is measured
  std::vector<TaskPtr> exams{};  ///< what is examined between steps (eval/chat_eval.h)
};

/// Runs `stage`, "mid" or "sft": conversations (conversation_rows.h) instead of text, everything
/// else as pretraining. Measures "val_bpb", "min_val_bpb" and "val_loss", over the trained tokens
/// of validation, and "chat": {the accuracy in each exam by its task's name}.
///
/// The run has num_iterations optimizer steps, all of them taken; or as many as the epochs fill,
/// which is counted beforehand. Upstream counts micro-batches against num_iterations and leaves the
/// last step out.
///
/// Throws as train_base.
[[nodiscard]] StageResult finetune(const std::string& stage, const FinetuneConfig& config,
                                   const FinetuneInput& input, const Tokenizer& tokenizer,
                                   const StageRun& run);

}  // namespace nanochat
