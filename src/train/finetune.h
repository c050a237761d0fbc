/// Midtraining and supervised finetuning: from a base model to one that answers.
#pragma once

#include <filesystem>
#include <functional>
#include <string>

#include <nlohmann/json.hpp>

#include "tasks/task.h"
#include "tokenizer/tokenizer.h"
#include "train/finetune_config.h"
#include "train/stage.h"

namespace nanochat {

/// An examination of the model between steps: results by name, {"ARC-Easy": 0.31, "ChatCORE": 0.1}.
using ChatEvaluation = std::function<nlohmann::ordered_json(Gpt& model)>;

struct FinetuneInput {
  std::filesystem::path source;  ///< the checkpoint to go on from; not needed when resuming
  std::string source_name;       ///< for people
  TaskPtr train;
  TaskPtr val;                 ///< null: no loss is measured
  ChatEvaluation chat_eval{};  ///< empty: no examination
};

/// Runs `stage`, "mid" or "sft": conversations (conversation_rows.h) instead of text, everything
/// else as pretraining. Measures "val_bpb", "min_val_bpb" and "val_loss", over the trained tokens
/// of validation, and what chat_eval gives.
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
