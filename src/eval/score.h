/// How many of some problems a model got right, and what that is worth against guessing.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include <nlohmann/json_fwd.hpp>

namespace nanochat {

struct EvalScore {
  std::string task{};
  double baseline = 0;  ///< accuracy of guessing, in [0, 1)
  int64_t correct = 0;  ///< of one process's share, until the caller has added the others'
  int64_t total = 0;
  double seconds = 0;

  // Nothing where no problem was tried.
  [[nodiscard]] std::optional<double> accuracy() const noexcept;
  /// (accuracy - baseline) / (1 - baseline): 0 is chance, 1 is perfect; it may be negative.
  [[nodiscard]] std::optional<double> centered() const noexcept;
  /// Of the accuracy: sqrt(a (1 - a) / total).
  [[nodiscard]] std::optional<double> standard_error() const noexcept;
};

/// The mean of the centred accuracies; nothing when there are no scores, or one without a problem.
[[nodiscard]] std::optional<double> mean_centered(std::span<const EvalScore> scores) noexcept;
/// Its standard error, from those of the scores: the tasks' errors are independent.
[[nodiscard]] std::optional<double> mean_centered_error(std::span<const EvalScore> scores) noexcept;

/// {"GSM8K": {"accuracy", "centered", "standard_error", "baseline", "correct", "examples",
/// "seconds"}, ...}; null where there is nothing.
[[nodiscard]] nlohmann::ordered_json scores_json(std::span<const EvalScore> scores);

}  // namespace nanochat
