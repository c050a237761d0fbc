/// A trained model with what is needed to run it.
#pragma once

#include <memory>
#include <string>

#include "cli/commands.h"
#include "model/gpt.h"
#include "tokenizer/tokenizer.h"
#include "train/checkpoint.h"
#include "train/model_name.h"

namespace nanochat::cli {

struct LoadedModel {
  FoundModel found;
  Checkpoint checkpoint;
  Tokenizer tokenizer;
  std::unique_ptr<Gpt> gpt;  ///< without gradients
};

/// Finds and verifies the checkpoint (train/model_name.h), loads its weights and the tokenizer kept
/// with the run, or the one named. Says on the console which model it is. Throws as those do, and
/// DataError when tokenizer and model are not of one vocabulary.
[[nodiscard]] LoadedModel load_model(const CommonOptions& common, const std::string& model,
                                     const std::string& tokenizer, const std::string& dtype);

}  // namespace nanochat::cli
