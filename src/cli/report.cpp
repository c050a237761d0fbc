#include "cli/report.h"

#include <filesystem>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "cli/system_info.h"
#include "cli/text_io.h"
#include "core/error.h"
#include "core/file.h"
#include "core/log.h"
#include "report/report.h"

namespace nanochat::cli {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

ordered_json summary_json(const Report& report) {
  ordered_json rows = ordered_json::object();
  for (const SummaryRow& row : summary_of(report.sections)) {
    ordered_json cells = ordered_json::object();
    for (size_t i = 0; i < kReportStages.size(); ++i) {
      if (row.cells[i]) cells[std::string(kReportStages[i])] = row.cells[i]->value;
    }
    rows[row.metric] = std::move(cells);
  }
  return rows;
}

}  // namespace

void run_report(const CommonOptions& common, const ReportOptions& options) {
  if (options.reset) {
    remove_report(common.base_dir);
    if (common.json) print_json({{"reset", true}});
    return;
  }
  const Report report = gather_report(common.base_dir, system_info());
  for (const std::string& problem : report.problems) log_warning("{}", problem);
  if (report.sections.empty() && report.runs.empty()) {
    throw NotFoundError(
        "{}: nothing to report yet: nanochat tok train, train and eval leave their results there",
        common.base_dir.string());
  }
  const fs::path folder = options.out.empty() ? common.base_dir / "report" : fs::path(options.out);
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) throw_errno("make", folder, error.value());
  const fs::path markdown = folder / "report.md", html = folder / "report.html";
  write_file_atomically(markdown, report_markdown(report));
  write_file_atomically(html, report_html(report));
  if (common.json) {
    print_json({{"markdown", markdown.string()},
                {"html", html.string()},
                {"sections", report.sections.size()},
                {"runs", report.runs.size()},
                {"wall_seconds", wall_seconds(report)},
                {"summary", summary_json(report)}});
    return;
  }
  fmt::print("{} sections, {} runs\n{}\n{}\n", report.sections.size(), report.runs.size(),
             markdown.string(), html.string());
}

}  // namespace nanochat::cli
