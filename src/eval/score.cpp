#include "eval/score.h"

#include <cmath>

#include <nlohmann/json.hpp>

namespace nanochat {

std::optional<double> EvalScore::accuracy() const noexcept {
  if (total == 0) return {};
  return static_cast<double>(correct) / static_cast<double>(total);
}

std::optional<double> EvalScore::centered() const noexcept {
  if (total == 0) return {};
  return (*accuracy() - baseline) / (1 - baseline);
}

std::optional<double> EvalScore::standard_error() const noexcept {
  if (total == 0) return {};
  const double a = *accuracy();
  return std::sqrt(a * (1 - a) / static_cast<double>(total));
}

std::optional<double> mean_centered(std::span<const EvalScore> scores) noexcept {
  double sum = 0;
  for (const EvalScore& score : scores) {
    const std::optional<double> centered = score.centered();
    if (!centered) return {};
    sum += *centered;
  }
  if (scores.empty()) return {};
  return sum / static_cast<double>(scores.size());
}

std::optional<double> mean_centered_error(std::span<const EvalScore> scores) noexcept {
  double variance = 0;
  for (const EvalScore& score : scores) {
    const std::optional<double> error = score.standard_error();
    if (!error) return {};
    const double centered_error = *error / (1 - score.baseline);
    variance += centered_error * centered_error;
  }
  if (scores.empty()) return {};
  return std::sqrt(variance) / static_cast<double>(scores.size());
}

nlohmann::ordered_json scores_json(std::span<const EvalScore> scores) {
  const auto or_null = [](std::optional<double> x) {
    return x ? nlohmann::ordered_json(*x) : nlohmann::ordered_json();
  };
  nlohmann::ordered_json json = nlohmann::ordered_json::object();
  for (const EvalScore& score : scores) {
    json[score.task] = {{"accuracy", or_null(score.accuracy())},
                        {"centered", or_null(score.centered())},
                        {"standard_error", or_null(score.standard_error())},
                        {"baseline", score.baseline},
                        {"correct", score.correct},
                        {"examples", score.total},
                        {"seconds", score.seconds}};
  }
  return json;
}

}  // namespace nanochat
