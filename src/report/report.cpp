#include "report/report.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <map>
#include <string_view>

namespace nanochat {
namespace {

/// Of a mean of centred accuracies, from those of the tasks; nothing when one is not known.
std::optional<double> error_of_mean(const std::vector<TaskScore>& scores) {
  double sum = 0;
  for (const TaskScore& score : scores) {
    const auto error = score.standard_error();
    if (!error) return std::nullopt;
    sum += std::pow(*error / (1 - score.baseline), 2);
  }
  if (scores.empty()) return std::nullopt;
  return std::sqrt(sum) / static_cast<double>(scores.size());
}

/// Of results.chatcore: of the tasks in chatcore_tasks, or all.
std::optional<double> chatcore_error(const nlohmann::ordered_json& results) {
  std::vector<TaskScore> scores = task_scores(results);
  const auto names = results.find("chatcore_tasks");
  if (names != results.end() && names->is_array()) {
    std::erase_if(scores, [&](const TaskScore& score) {
      return std::find(names->begin(), names->end(), score.name) == names->end();
    });
    if (scores.size() != names->size()) return std::nullopt;
  }
  return error_of_mean(scores);
}

}  // namespace

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
    const std::vector<TaskScore> scores = task_scores(section.results);
    if (const auto value = number_at(section.results, "core_metric")) {
      core.cells[i] = SummaryCell{*value, error_of_mean(scores), 0};
    }
    if (const auto value = number_at(section.results, "chatcore")) {
      chatcore.cells[i] = SummaryCell{*value, chatcore_error(section.results), 0};
    }
    if (!section.name.starts_with("chat-evaluation")) continue;  // CORE's tasks have their section
    for (const TaskScore& score : scores) {
      SummaryRow& row = tasks[score.name];
      row.metric = score.name;
      row.cells[i] = SummaryCell{score.accuracy, score.standard_error(), score.examples};
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
