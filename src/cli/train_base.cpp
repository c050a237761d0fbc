#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "cli/interrupt.h"
#include "cli/text_io.h"
#include "cli/tokenizer_store.h"
#include "cli/train.h"
#include "core/error.h"
#include "core/log.h"
#include "core/progress.h"
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

nlohmann::ordered_json or_null(const std::optional<double>& value) {
  return value ? nlohmann::ordered_json(*value) : nlohmann::ordered_json();
}

void print_result(const CommonOptions& common, const std::string& name, const BaseResult& r) {
  if (common.json) {
    print_json({{"run", name},
                {"checkpoint", r.checkpoint.string()},
                {"step", r.step},
                {"num_iterations", r.num_iterations},
                {"num_params", r.num_params},
                {"flops_per_token", r.flops_per_token},
                {"tokens", r.total_tokens},
                {"train_loss", r.train_loss},
                {"val_bpb", or_null(r.val_bpb)},
                {"min_val_bpb", or_null(r.min_val_bpb)},
                {"seconds", r.seconds},
                {"tokens_per_second", r.tokens_per_second},
                {"mfu", r.mfu},
                {"data_wait_frac", r.wait_frac},
                {"start_seconds", r.start_seconds},
                {"peak_memory_bytes", r.peak_memory_bytes}});
    return;
  }
  fmt::print("base:{}@{}: {} steps, loss {:.4f}", name, r.step, r.step, r.train_loss);
  if (r.val_bpb) {
    fmt::print(", {:.4f} bits per byte on validation text (lowest {:.4f})", *r.val_bpb,
               r.min_val_bpb.value_or(*r.val_bpb));
  }
  fmt::print("\n");
  if (r.tokens_per_second > 0) {
    fmt::print(
        "{} tokens/s, MFU {:.1f}%, waited for data {:.2f}% of the time, first step after "
        "{:.1f} s, peak memory {} MiB\n",
        format_count(r.tokens_per_second), 100 * r.mfu, 100 * r.wait_frac, r.start_seconds,
        r.peak_memory_bytes >> 20);
  }
  fmt::print("checkpoint: {}\n", r.checkpoint.string());
}

}  // namespace

void run_train_base(const CommonOptions& common, const TrainBaseOptions& options) {
  BaseTrainConfig config = options.config;
  if (config.data.empty()) config.data = default_data(common);
  if (config.sample_prompts.size() == 1 && config.sample_prompts[0].empty()) {
    config.sample_prompts.clear();
  }
  const std::string name = options.run.empty() ? fmt::format("d{}", config.depth) : options.run;
  if (name.find('/') != std::string::npos || name.starts_with('.')) {
    throw UsageError("--run '{}': a name without slashes, not beginning with a dot", name);
  }
  const Tokenizer tokenizer = load_tokenizer(common, config.tokenizer);

  const InterruptGuard interrupts;
  const BaseResult result = train_base(config, tokenizer,
                                       {.folder = common.base_dir / "runs" / "base" / name,
                                        .name = name,
                                        .resume = options.resume,
                                        .overwrite = options.overwrite,
                                        .profile_steps = options.profile,
                                        .command_line = common.command_line,
                                        .interrupted = [&] { return interrupts.requested(); }});
  if (result.step < result.num_iterations) {
    log_info("stopped after step {} of {}: --resume latest goes on", result.step,
             result.num_iterations);
    interrupts.check();
  }
  print_result(common, name, result);
}

}  // namespace nanochat::cli
