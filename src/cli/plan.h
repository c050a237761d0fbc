/// nanochat plan: options as the command line gave them, and what it runs.
#pragma once

#include <cstdint>
#include <string>

#include "cli/commands.h"
#include "train/plan.h"

namespace nanochat::cli {

struct PlanCommandOptions {
  PlanOptions plan;              ///< depth is set for each of `depths`
  std::string depths = "4..32";  ///< "20", "4,8,12", "4..32" (steps of 2), "4..32:4"
  std::string recipe = "classic";

  std::string device = "";  ///< gpu or cpu; empty: gpu, unless the other flags speak of a CPU
  std::string gpu = "";     ///< empty: h100
  int64_t gpus = 1;
  double price_per_hour = -1;  ///< < 0: 3 for an h100, else none
  double mfu = -1;             ///< < 0: 0.5 for a GPU, 0.8 for a CPU
  double gflops = -1;          ///< <= 0: the table's, or not known
  double memory_gib = -1;      ///< <= 0: the table's, or this machine's
  std::string dtype = "";      ///< empty: bf16 for a GPU, what the CPU prefers
  bool measure = false;
};

/// Where the options say that the run will be. Throws UsageError.
[[nodiscard]] PlanDevice device_of(const PlanCommandOptions& options);

/// Throws UsageError.
void run_plan(const CommonOptions& common, const PlanCommandOptions& options);

}  // namespace nanochat::cli
