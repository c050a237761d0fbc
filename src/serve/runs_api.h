/// The training view's data: which runs there are, and what they have measured.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <nlohmann/json.hpp>

namespace nanochat::serve {

/// Bytes of metrics.jsonl in one answer.
inline constexpr int64_t kMaxMetricsBytes = int64_t{1} << 20;

/// A folder <runs>/<stage>/<tag>/metrics.jsonl that others write into. Reads only; what is not
/// there, or cannot be read, is left out. Not thread-safe.
class RunsFolder {
 public:
  explicit RunsFolder(std::filesystem::path path) : path_(std::move(path)) {}

  /// docs/api.md, "GET /api/runs".
  [[nodiscard]] nlohmann::ordered_json list();
  /// "GET /api/runs/STAGE/TAG/metrics": the answer as JSON text. Throws ApiError: 404 when there is
  /// no such run.
  [[nodiscard]] std::string metrics(std::string_view stage, std::string_view tag,
                                    int64_t offset) const;

 private:
  struct Known {
    int64_t size = -1;
    int64_t step = 0;         // finished steps
    int64_t checkpoint = -1;  // its number
    std::optional<int64_t> num_iterations;
  };
  [[nodiscard]] std::optional<nlohmann::ordered_json> describe(const std::string& stage,
                                                               const std::string& tag);

  std::filesystem::path path_;
  std::map<std::pair<std::string, std::string>, Known> known_;
};

/// A name that can be a folder's, and leads nowhere else: not empty, no slash, no dot in front.
[[nodiscard]] bool is_plain_name(std::string_view name) noexcept;

/// The complete lines of `bytes`, which begin at `offset` of a file, as the answer of
/// RunsFolder::metrics(). Lines that are no JSON objects are left out.
///   is_end  nothing follows them in the file
[[nodiscard]] std::string metrics_answer(std::string_view bytes, int64_t offset, bool reset,
                                         bool is_end);

}  // namespace nanochat::serve
