/// What a run measures, beside its checkpoints: metrics.jsonl, and the same for TensorBoard.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "train/event_file.h"
#include "train/run_folder.h"

namespace nanochat {

inline constexpr std::string_view kMetricsFileName = "metrics.jsonl";

/// Appends to <run>/metrics.jsonl, a JSON object on each line: {"step": 100, "time": 1712345678.25,
/// ...}, where time is in seconds since 1970; and to an event file of its own. What is written is
/// with the kernel when a call returns, so a kill loses nothing; sync() is against a power failure.
/// Not thread-safe.
class MetricsWriter {
 public:
  /// A last line that a kill has torn is removed.
  ///   resumed_at   the step of the checkpoint that the run goes on from. What was written about
  ///                later steps is void; a line {"step": 100, "time": ..., "resumed": true} says
  ///                so. Absent: a run from the beginning, which voids all.
  /// Throws IoError, as does all below.
  explicit MetricsWriter(const RunFolder& run, std::optional<int64_t> resumed_at = std::nullopt);
  ~MetricsWriter();
  MetricsWriter(const MetricsWriter&) = delete;
  MetricsWriter& operator=(const MetricsWriter&) = delete;

  /// One line. Numbers go to TensorBoard too, under their keys: {"loss": 3.2, "val_bpb": 1.1}.
  /// Several lines about one step add up. A number that is not finite is null in the file.
  void write(int64_t step, const nlohmann::ordered_json& values);
  void sync();

 private:
  void append(const nlohmann::ordered_json& line);

  std::filesystem::path path_;
  int fd_ = -1;
  EventFile events_;
};

/// The records of a file that MetricsWriter wrote, by step: what later lines say replaces what
/// earlier ones said, key by key, and what was void is gone. A torn last line is left out; a line
/// in the middle that is not JSON is a DataError with its number. NotFoundError, IoError.
[[nodiscard]] std::map<int64_t, nlohmann::ordered_json> read_metrics(
    const std::filesystem::path& file);

}  // namespace nanochat
