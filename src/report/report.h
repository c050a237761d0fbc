/// The report of a base folder: what every stage has left, gathered, and written as Markdown and as
/// one page.
#pragma once

#include <array>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "report/run_history.h"
#include "report/section.h"

namespace nanochat {

/// The columns of the summary.
inline constexpr std::array<std::string_view, 4> kReportStages{"base", "mid", "sft", "rl"};

struct Report {
  double generated = 0;           ///< seconds since 1970
  nlohmann::ordered_json system;  ///< the machine and the build, for the header: flat
  std::vector<Section> sections{};
  std::vector<RunHistory> runs{};
  std::vector<std::string> problems{};  ///< what could not be read
};

/// Never throws for what is absent or damaged in the folder: that is told in `problems`.
[[nodiscard]] Report gather_report(const std::filesystem::path& base_dir,
                                   nlohmann::ordered_json system);

/// A number of the summary: how well, and how sure.
struct SummaryCell {
  double value = 0;
  std::optional<double> standard_error;
  int64_t examples = 0;  ///< 0: not told
};
struct SummaryRow {
  std::string metric;
  std::array<std::optional<SummaryCell>, 4> cells;  ///< of kReportStages
};
/// CORE first, then tasks by name, ChatCORE last. Rows without any value are left out.
[[nodiscard]] std::vector<SummaryRow> summary_of(const std::vector<Section>& sections);

/// How long the work of all sections took, restarts included, pauses not.
[[nodiscard]] double wall_seconds(const Report& report);

/// report.md.
[[nodiscard]] std::string report_markdown(const Report& report);
/// report.html: one page that needs nothing else. What models wrote is in it as data only.
[[nodiscard]] std::string report_html(const Report& report);

}  // namespace nanochat
