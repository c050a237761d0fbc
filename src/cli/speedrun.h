/// nanochat speedrun: options as the command line gave them, and what it runs.
#pragma once

#include <string>

#include "cli/commands.h"
#include "cli/plan.h"
#include "report/speedrun_plan.h"

namespace nanochat::cli {

struct SpeedrunOptions {
  SpeedrunChoice choice;
  std::string from, until;  ///< stages, both included; empty: the first, the last
  bool dry_run = false;
  PlanCommandOptions machine;  ///< of the times and costs that --dry-run shows
};
void run_speedrun(const CommonOptions& common, const SpeedrunOptions& options);

}  // namespace nanochat::cli
