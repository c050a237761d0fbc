/// Plans as people read them.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "train/plan.h"

namespace nanochat {

/// 560988160 -> "560,988,160".
[[nodiscard]] std::string with_commas(int64_t n);
/// "12 s", "5 min", "3.8 h", "2.1 days", "4.0 years".
[[nodiscard]] std::string duration(double seconds);
/// "$92", "$1,250", "$0.30".
[[nodiscard]] std::string dollars(double amount);

/// One plan in full, several lines.
[[nodiscard]] std::string plan_text(const Plan& plan);
/// A line for each plan; all have the recipe, device and data settings of the first.
[[nodiscard]] std::string plan_table(std::span<const Plan> plans);

}  // namespace nanochat
