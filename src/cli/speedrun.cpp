#include "cli/speedrun.h"

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "cli/interrupt.h"
#include "cli/text_io.h"
#include "core/error.h"
#include "core/log.h"
#include "report/speedrun.h"
#include "train/plan_text.h"

namespace nanochat::cli {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

struct Estimate {
  double seconds = 0, cost = 0;  ///< 0: not known
};

/// Of a stage that trains: as many FLOPs for each token as pretraining.
Estimate estimate_of(const SpeedrunStage& stage, const Plan& base) {
  if (!stage.trains || base.seconds <= 0) return {};
  if (stage.name == "base") return {base.seconds, base.cost};
  const double share = stage.tokens / static_cast<double>(base.total_tokens);
  return {base.seconds * share, base.cost * share};
}

PlanDevice device_for(const SpeedrunPlan& plan, PlanCommandOptions machine) {
  const bool says_nothing = machine.device.empty() && machine.gpu.empty() && machine.gflops <= 0;
  if (says_nothing && !plan.for_gpu) {
    machine.device = "cpu";
    machine.measure = true;
  }
  return device_of(machine);
}

void show_plan(const CommonOptions& common, const SpeedrunPlan& plan,
               const SpeedrunOptions& options) {
  const auto [begin, end] = stage_range(plan, options.from, options.until);
  const std::vector<StageState> states = speedrun_states(plan, common.base_dir);
  const PlanDevice device = device_for(plan, options.machine);
  const Plan base = make_plan(plan.base, device);
  ordered_json stages = ordered_json::array();
  Estimate total;
  std::string table = fmt::format("{:<15} {:<8} {:>9} {:>8}  {}\n", "stage", "state", "training",
                                  "cost", "command");
  for (size_t i = begin; i < end; ++i) {
    const SpeedrunStage& stage = plan.stages[i];
    const Estimate e = estimate_of(stage, base);
    if (states[i] != StageState::kDone) {
      total.seconds += e.seconds;
      total.cost += e.cost;
    }
    const std::vector<std::string> command = command_in(stage, common.base_dir);
    stages.push_back({{"name", stage.name},
                      {"state", name_of(states[i])},
                      {"command", command},
                      {"seconds", e.seconds > 0 ? ordered_json(e.seconds) : ordered_json()},
                      {"cost_dollars", e.cost > 0 ? ordered_json(e.cost) : ordered_json()}});
    table += fmt::format("{:<15} {:<8} {:>9} {:>8}  nanochat {}\n", stage.name, name_of(states[i]),
                         e.seconds > 0 ? duration(e.seconds) : "",
                         e.cost > 0 ? dollars(e.cost) : "", shell_text(command));
  }
  if (common.json) {
    print_json({{"preset", plan.preset},
                {"device", {{"name", device.name}, {"count", device.count}}},
                {"stages", std::move(stages)},
                {"seconds", total.seconds},
                {"cost_dollars", total.cost}});
    return;
  }
  const std::string machine =
      device.is_gpu ? fmt::format("{} x {}", device.count, device.name) : std::string("this CPU");
  fmt::print("{}: {}; times are of {}\n\n", plan.preset, plan.what, machine);
  print_bytes(table);
  if (total.seconds > 0) {
    fmt::print("\nstill to train: about {}{}, with neither downloads nor evaluations in it\n",
               duration(total.seconds),
               total.cost > 0 ? fmt::format(" and {}", dollars(total.cost)) : "");
  }
}

std::vector<std::string> flags_for_stages(const CommonOptions& common) {
  std::vector<std::string> flags;
  if (common.threads > 0) flags = {"--threads", std::to_string(common.threads)};
  if (common.quiet) flags.emplace_back("--quiet");
  return flags;
}

}  // namespace

void run_speedrun(const CommonOptions& common, const SpeedrunOptions& options) {
  const SpeedrunPlan plan = make_speedrun_plan(options.choice);
  if (options.dry_run) return show_plan(common, plan, options);

  const InterruptGuard interrupts;
  std::error_code error;
  const fs::path program = fs::read_symlink("/proc/self/exe", error);
  if (error) throw IoError("cannot find this program again: /proc/self/exe: {}", error.message());
  Speedrun speedrun(plan, {.program = program,
                           .base_dir = common.base_dir,
                           .flags = flags_for_stages(common),
                           .to_stderr = common.json,
                           .signal = [&] { return interrupts.signal(); }});
  const std::vector<StageReport> reports = speedrun.run(options.from, options.until);
  interrupts.check();
  if (common.json) {
    ordered_json stages = ordered_json::array();
    for (const StageReport& report : reports) {
      stages.push_back(
          {{"name", report.name}, {"skipped", report.skipped}, {"seconds", report.seconds}});
    }
    print_json({{"preset", plan.preset},
                {"stages", std::move(stages)},
                {"model", plan.chat_model},
                {"report", (common.base_dir / "report").string()}});
    return;
  }
  if (options.until.empty()) {
    log_info("\nTalk to it: {}",
             shell_text(std::vector<std::string>{program.string(), "chat", plan.chat_model,
                                                 "--base-dir", common.base_dir.string()}));
  }
}

}  // namespace nanochat::cli
