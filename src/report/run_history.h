/// What the runs of a base folder have measured: <base>/runs/<stage>/<tag>/metrics.jsonl, as
/// curves.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

namespace nanochat {

using Curve = std::vector<std::pair<int64_t, double>>;  ///< (step, value), steps ascending

struct RunHistory {
  std::string stage, tag;
  std::map<std::string, Curve> curves;  ///< by the key in the file: "train/loss"
  /// What the model wrote, by step: the value of "samples", an array.
  std::vector<std::pair<int64_t, nlohmann::ordered_json>> samples;
  int64_t last_step = 0;
  /// From the first line to the last, restarts included, the time that nothing ran left out.
  double active_seconds = 0;
};

/// One run. Every number in the file is a point of a curve; of long curves, about `max_points` that
/// show the same (each stretch's lowest and highest). Throws as read_metrics.
[[nodiscard]] RunHistory read_run_history(const std::filesystem::path& run_folder,
                                          size_t max_points = 1000);

/// Every run that has written something, base before mid before sft before rl, by tag. What cannot
/// be read is told in `problems`.
[[nodiscard]] std::vector<RunHistory> find_run_histories(const std::filesystem::path& base_dir,
                                                         std::vector<std::string>& problems);

/// About max_points of a curve: the first, the last, and of each stretch between the lowest and the
/// highest. A short curve is left as it is.
[[nodiscard]] Curve thin_out(Curve curve, size_t max_points);

}  // namespace nanochat
