#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "cli/tokenizer_store.h"
#include "cli/train.h"
#include "core/error.h"
#include "core/log.h"
#include "eval/core_tasks.h"
#include "train/base.h"

namespace nanochat::cli {
namespace {

namespace fs = std::filesystem;

/// What nanochat data put into the base folder: one data set, or the user has to choose.
std::vector<std::string> default_data(const CommonOptions& common) {
  const fs::path folder = common.base_dir / "data";
  std::vector<std::string> found;
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, error)) {
    if (entry.is_directory() && !entry.path().filename().string().starts_with('.')) {
      found.push_back(entry.path().string());
    }
  }
  std::ranges::sort(found);
  if (found.empty()) {
    throw NotFoundError(
        "no --data, and nothing in {}: give a path, or make or fetch some with nanochat data synth "
        "or nanochat data download",
        folder.string());
  }
  if (found.size() > 1) {
    throw UsageError("no --data, and several in the base folder: choose one of {}",
                     fmt::join(found, ", "));
  }
  return found;
}

/// Of the base folder, where none is named. Without one the run goes on, and says so.
void find_bundle(const CommonOptions& common, BaseTrainConfig& config) {
  if (config.core_metric_every == 0 || !config.core_bundle.empty()) return;
  try {
    config.core_bundle = find_core_bundle(common.base_dir).string();
  } catch (const NotFoundError& e) {
    log_info("no CORE metric: {}", e.what());
  }
}

}  // namespace

void run_train_base(const CommonOptions& common, const TrainBaseOptions& options) {
  BaseTrainConfig config = options.config;
  if (config.data.empty()) config.data = default_data(common);
  if (config.sample_prompts.size() == 1 && config.sample_prompts[0].empty()) {
    config.sample_prompts.clear();
  }
  find_bundle(common, config);
  const std::string name =
      options.run.run.empty() ? fmt::format("d{}", config.depth) : options.run.run;
  static_cast<void>(stage_folder(common, "base", name));  // refuses before anything is loaded
  const Tokenizer tokenizer = load_tokenizer(common, config.tokenizer);
  run_stage(common, "base", name, options.run,
            [&](const StageRun& run) { return train_base(config, tokenizer, run); });
}

}  // namespace nanochat::cli
