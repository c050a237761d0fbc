/// What mid, sft and rl go on from.
#pragma once

#include <filesystem>
#include <string>

#include "cli/train.h"
#include "tokenizer/tokenizer.h"

namespace nanochat::cli {

struct StageSource {
  std::string run_name;
  std::filesystem::path checkpoint;  ///< empty: the run goes on from a checkpoint of its own
  std::string name;                  ///< for people
  Tokenizer tokenizer;
};

/// Finds the model that the run of `stage` goes on from, and its tokenizer: the one that is named,
/// or the one kept with the source. A run that is resumed needs no source, where --run names it.
/// Throws NotFoundError, and UsageError for a tokenizer that is not the source's.
[[nodiscard]] StageSource find_source(const CommonOptions& common, const std::string& stage,
                                      const SourceSettings& settings, const RunFlags& flags);

}  // namespace nanochat::cli
