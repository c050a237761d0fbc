/// Pretraining: from documents to a base model.
#pragma once

#include "tokenizer/tokenizer.h"
#include "train/base_config.h"
#include "train/stage.h"

namespace nanochat {

/// Runs upstream's classic base_train: model from --depth, horizon, batches, AdamW and Muon,
/// evaluation, samples, checkpoints. Says on the console what it does. Measures "val_bpb" and
/// "min_val_bpb".
///
/// Throws UsageError for settings that do not fit together, NotFoundError, DataError and IoError as
/// the data and checkpoints do, and as Stage.
[[nodiscard]] StageResult train_base(const BaseTrainConfig& config, const Tokenizer& tokenizer,
                                     const StageRun& run);

}  // namespace nanochat
