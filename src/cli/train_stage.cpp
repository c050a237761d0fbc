#include <filesystem>
#include <string>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "cli/interrupt.h"
#include "cli/report_section.h"
#include "cli/text_io.h"
#include "cli/train.h"
#include "core/error.h"
#include "core/log.h"
#include "core/progress.h"

namespace nanochat::cli {
namespace {

using nlohmann::ordered_json;

ordered_json to_json(const std::string& name, const StageResult& r) {
  ordered_json result{{"run", name},
                      {"checkpoint", r.checkpoint.string()},
                      {"step", r.step},
                      {"num_iterations", r.num_iterations},
                      {"num_params", r.num_params},
                      {"flops_per_token", r.flops_per_token},
                      {"tokens", r.total_tokens},
                      {"train_loss", r.train_loss},
                      {"val_bpb", nullptr},
                      {"min_val_bpb", nullptr},
                      {"seconds", r.seconds},
                      {"tokens_per_second", r.tokens_per_second},
                      {"mfu", r.mfu},
                      {"data_wait_frac", r.wait_frac},
                      {"start_seconds", r.start_seconds},
                      {"peak_memory_bytes", r.peak_memory_bytes}};
  result.update(r.measures);
  return result;
}

void print_result(const std::string& stage, const std::string& name, const StageResult& r) {
  fmt::print("{}:{}@{}: {} steps, loss {:.4f}", stage, name, r.step, r.step, r.train_loss);
  if (r.measures.contains("val_bpb")) {
    const double bpb = r.measures.at("val_bpb");
    fmt::print(", {:.4f} bits per byte on validation text (lowest {:.4f})", bpb,
               r.measures.value("min_val_bpb", bpb));
  }
  if (r.measures.contains("pass@1")) {
    fmt::print(", pass@1 {:.4f} on {}", r.measures.at("pass@1").get<double>(),
               r.measures.value("eval_task", std::string()));
  }
  fmt::print("\n");
  if (r.tokens_per_second > 0) {
    fmt::print(
        "{} tokens/s, MFU {:.1f}%, {} {:.2f}% of the time, first step after {:.1f} s, peak memory "
        "{} MiB\n",
        format_count(r.tokens_per_second), 100 * r.mfu,
        stage == "rl" ? "rollouts" : "waited for data", 100 * r.wait_frac, r.start_seconds,
        r.peak_memory_bytes >> 20);
  }
  fmt::print("checkpoint: {}\n", r.checkpoint.string());
}

}  // namespace

std::filesystem::path stage_folder(const CommonOptions& common, const std::string& stage,
                                   const std::string& name) {
  if (name.empty() || name.find('/') != std::string::npos || name.starts_with('.')) {
    throw UsageError("--run '{}': a name without slashes, not beginning with a dot", name);
  }
  return common.base_dir / "runs" / stage / name;
}

void run_stage(const CommonOptions& common, const std::string& stage, const std::string& name,
               const RunFlags& flags, const std::function<StageResult(const StageRun&)>& train) {
  const InterruptGuard interrupts;
  const StageResult result = train({.folder = stage_folder(common, stage, name),
                                    .name = name,
                                    .resume = flags.resume,
                                    .overwrite = flags.overwrite,
                                    .profile_steps = flags.profile,
                                    .command_line = common.command_line,
                                    .interrupted = [&] { return interrupts.requested(); }});
  if (result.step < result.num_iterations) {
    log_info("stopped after step {} of {}: --resume latest goes on", result.step,
             result.num_iterations);
    interrupts.check();
  }
  const ordered_json json = to_json(name, result);
  record_training(common, stage, fmt::format("{}:{}@{}", stage, name, result.step),
                  result.checkpoint, json);
  if (common.json) return print_json(json);
  print_result(stage, name, result);
}

}  // namespace nanochat::cli
