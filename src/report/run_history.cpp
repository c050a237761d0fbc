#include "report/run_history.h"

#include <algorithm>
#include <fstream>

#include "core/error.h"
#include "train/metrics.h"
#include "train/model_name.h"

namespace nanochat {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

/// Times of all lines in the order they were written, those about steps that were trained again
/// too: they took their time. A line that says "resumed" begins anew.
double active_seconds(const fs::path& file) {
  double sum = 0, before = 0;
  std::ifstream lines(file);
  for (std::string part; std::getline(lines, part);) {
    const Json line = Json::parse(part, nullptr, /*allow_exceptions=*/false);
    if (!line.is_object() || !line.contains("time") || !line["time"].is_number()) continue;
    const double time = line["time"];
    if (before > 0 && !line.contains("resumed")) sum += std::max(0.0, time - before);
    before = time;
  }
  return sum;
}

}  // namespace

RunHistory read_run_history(const fs::path& run_folder, size_t max_points) {
  const fs::path file = run_folder / kMetricsFileName;
  RunHistory run{.stage = run_folder.parent_path().filename().string(),
                 .tag = run_folder.filename().string(),
                 .curves = {},
                 .samples = {},
                 .active_seconds = active_seconds(file)};
  for (const auto& [step, record] : read_metrics(file)) {
    run.last_step = step;
    for (const auto& [key, value] : record.items()) {
      if (key == "step" || key == "time") continue;
      if (value.is_number()) run.curves[key].emplace_back(step, value.get<double>());
      if (key == "samples" && value.is_array()) run.samples.emplace_back(step, value);
    }
  }
  for (auto& [key, curve] : run.curves) curve = thin_out(std::move(curve), max_points);
  return run;
}

std::vector<RunHistory> find_run_histories(const fs::path& base_dir,
                                           std::vector<std::string>& problems) {
  std::vector<RunHistory> runs;
  for (auto stage = kStages.rbegin(); stage != kStages.rend(); ++stage) {  // kStages: last first
    std::vector<fs::path> folders;
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(base_dir / "runs" / *stage, error)) {
      if (fs::exists(entry.path() / kMetricsFileName, error)) folders.push_back(entry.path());
    }
    std::ranges::sort(folders);
    for (const fs::path& folder : folders) {
      try {
        runs.push_back(read_run_history(folder));
      } catch (const Error& e) {
        problems.emplace_back(e.what());
      }
    }
  }
  return runs;
}

Curve thin_out(Curve curve, size_t max_points) {
  const size_t n = curve.size();
  if (n <= std::max<size_t>(max_points, 4)) return curve;
  const size_t stretches = (max_points - 2) / 2;
  Curve thin{curve.front()};
  for (size_t i = 0; i < stretches; ++i) {
    const auto begin = curve.begin() + static_cast<ptrdiff_t>(1 + i * (n - 2) / stretches);
    const auto end = curve.begin() + static_cast<ptrdiff_t>(1 + (i + 1) * (n - 2) / stretches);
    auto [low, high] = std::minmax_element(
        begin, end, [](const auto& a, const auto& b) { return a.second < b.second; });
    if (high < low) std::swap(low, high);
    thin.push_back(*low);
    if (high != low) thin.push_back(*high);
  }
  thin.push_back(curve.back());
  return thin;
}

}  // namespace nanochat
