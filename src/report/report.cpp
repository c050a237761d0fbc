#include "report/report.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <string_view>

namespace nanochat {
Report gather_report(const std::filesystem::path& base_dir, nlohmann::ordered_json system) {
  Report report{.generated = std::chrono::duration<double>(
                                 std::chrono::system_clock::now().time_since_epoch())
                                 .count(),
                .system = std::move(system),
                .sections = {},
                .runs = {},
                .problems = {}};
  report.sections = read_sections(base_dir, report.problems);
  report.runs = find_run_histories(base_dir, report.problems);
  return report;
}

std::vector<SummaryRow> summary_of(const std::vector<Section>& sections) {
  SummaryRow core{.metric = "CORE", .cells = {}}, chatcore{.metric = "ChatCORE", .cells = {}};
  std::map<std::string, SummaryRow> tasks;
  for (const Section& section : sections) {
    const auto column = std::ranges::find(kReportStages, find_section_info(section.name)->stage);
    if (column == kReportStages.end()) continue;
    const auto i = static_cast<size_t>(column - kReportStages.begin());
    const std::vector<EvalScore> scores = task_scores(section.results);
    if (const auto value = number_at(section.results, "core_metric")) {
      core.cells[i] = SummaryCell{*value, number_at(section.results, "core_metric_error"), 0};
    }
    if (const auto value = number_at(section.results, "chatcore")) {
      chatcore.cells[i] = SummaryCell{*value, number_at(section.results, "chatcore_error"), 0};
    }
    if (!section.name.starts_with("chat-evaluation")) continue;  // CORE's tasks have their section
    for (const EvalScore& score : scores) {
      SummaryRow& row = tasks[score.task];
      row.metric = score.task;
      row.cells[i] = SummaryCell{*score.accuracy(), score.standard_error(), score.total};
    }
  }
  std::vector<SummaryRow> rows;
  const auto add = [&rows](const SummaryRow& row) {
    if (std::ranges::any_of(row.cells, [](const auto& cell) { return cell.has_value(); })) {
      rows.push_back(row);
    }
  };
  add(core);
  for (const auto& [name, row] : tasks) add(row);
  add(chatcore);
  return rows;
}

double wall_seconds(const Report& report) {
  double sum = 0;
  for (const Section& section : report.sections) {
    double seconds = section.seconds;
    for (const RunHistory& run : report.runs) {  // of a run that was resumed, all its processes
      const std::string prefix = run.stage + ":" + run.tag + "@";
      if (find_section_info(section.name)->trains && section.model.starts_with(prefix)) {
        seconds = std::max(seconds, run.active_seconds);
      }
    }
    sum += seconds;
  }
  return sum;
}

}  // namespace nanochat
