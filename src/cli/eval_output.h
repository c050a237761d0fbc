/// What the evaluations of tasks print while they run, and what they write.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "cli/interrupt.h"
#include "core/file.h"
#include "core/progress.h"
#include "eval/score.h"

namespace nanochat::cli {

/// A progress line while a task runs, a line on stdout when it is done (with --json, on stderr),
/// and a file of records, which gets its name at the end.
class EvalOutput {
 public:
  /// `records`: a path; empty: none. Throws IoError when it cannot be written.
  EvalOutput(const CommonOptions& common, const std::string& records);

  void start(const std::string& task, int64_t total, const char* unit);
  void update(int64_t done, int64_t correct);
  void finish(const EvalScore& score);
  /// Does nothing without a file.
  void record(const nlohmann::ordered_json& record);
  [[nodiscard]] bool has_records() const noexcept { return records_ != nullptr; }
  void commit_records();

  /// Throws Interrupted.
  void check_interrupts() const { interrupts_.check(); }

 private:
  const CommonOptions& common_;
  InterruptGuard interrupts_;
  std::unique_ptr<Progress> progress_;
  std::unique_ptr<AtomicFile> records_;
};

/// null for nothing, and for what is no finite number.
[[nodiscard]] nlohmann::ordered_json json_or_null(std::optional<double> x);

/// "0.0730 +- 0.0041", or "-".
[[nodiscard]] std::string with_error(std::optional<double> x, std::optional<double> error);

/// A model's name as part of a file's: "base:d4@1200" -> "base-d4-1200".
[[nodiscard]] std::string file_name_of(const std::string& model);

}  // namespace nanochat::cli
