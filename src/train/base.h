/// Pretraining: from documents to a base model.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "tokenizer/tokenizer.h"
#include "train/base_config.h"

namespace nanochat {

/// Where a run lives and how it starts.
struct BaseRun {
  std::filesystem::path folder;  ///< checkpoints, metrics.jsonl, config.toml; made when missing
  std::string name;              ///< in messages
  /// "": from the beginning, refused when the folder has checkpoints; "latest": from the newest
  /// one, or the beginning when there is none; else a step.
  std::string resume;
  bool overwrite = false;  ///< delete the folder's checkpoints first
  int64_t profile_steps = 0;
  std::string command_line;           ///< kept in state.json
  std::function<bool()> interrupted;  ///< asked between steps; true: save and return
};

struct BaseResult {
  int64_t num_iterations = 0, step = 0;  ///< step < num_iterations: it was interrupted
  std::filesystem::path checkpoint;      ///< the newest
  int64_t num_params = 0, total_tokens = 0;
  double flops_per_token = 0;
  double train_loss = 0;  ///< smoothed, of the last step
  std::optional<double> val_bpb, min_val_bpb;
  double seconds = 0;            ///< of training steps, the first ten left out
  double tokens_per_second = 0;  ///< over these
  double mfu = 0;
  double wait_frac = 0;      ///< share of step time in which the data was waited for
  double start_seconds = 0;  ///< from the call until training begins
  int64_t peak_memory_bytes = 0;
};

/// Runs upstream's classic base_train: model from --depth, horizon, batches, AdamW and Muon,
/// evaluation, samples, checkpoints. Says on the console what it does.
///
/// The curve of a run that was killed and resumed is that of one that was not, to the bit, on the
/// same machine with the same thread count and settings.
///
/// Throws UsageError for settings that do not fit together, NotFoundError, DataError and IoError as
/// the data and checkpoints do, NumericError naming the last good checkpoint.
[[nodiscard]] BaseResult train_base(const BaseTrainConfig& config, const Tokenizer& tokenizer,
                                    const BaseRun& run);

}  // namespace nanochat
