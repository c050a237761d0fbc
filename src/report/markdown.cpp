#include <algorithm>
#include <cmath>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "report/report.h"
#include "train/plan_text.h"

namespace nanochat {
namespace {

using Json = nlohmann::ordered_json;

/// On one line, with nothing in it that Markdown or a browser would take for markup.
std::string plain(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\n' || c == '\r') {
      out += ' ';
    } else if (c == '<') {
      out += "&lt;";
    } else if (c == '|') {
      out += "\\|";
    } else {
      out += c;
    }
  }
  return out;
}

std::string number(double x) {
  if (std::abs(x) >= 1e15) return fmt::format("{:.4g}", x);
  if (std::abs(x) >= 10000) return with_commas(std::llround(x));
  if (x != 0 && std::abs(x) < 0.001) return fmt::format("{:.4g}", x);
  std::string text = fmt::format("{:.4f}", x);
  while (text.ends_with('0')) text.pop_back();
  if (text.ends_with('.')) text.pop_back();
  return text;
}

std::string value_text(const Json& value) {
  if (value.is_null()) return "-";
  if (value.is_number_integer()) return number(static_cast<double>(value.get<int64_t>()));
  if (value.is_number()) return number(value.get<double>());
  if (value.is_string()) return plain(value.get<std::string>());
  if (value.is_array()) {
    std::vector<std::string> parts;
    for (const Json& part : value) parts.push_back(value_text(part));
    return fmt::format("{}", fmt::join(parts, ", "));
  }
  return plain(value.dump(-1, ' ', false, Json::error_handler_t::replace));
}

/// As it is, in a fence that it cannot end.
std::string fenced(const std::string& text) {
  std::string fence = "```";
  while (text.find(fence) != std::string::npos) fence += '`';
  return fmt::format("{}\n{}\n{}\n", fence, text, fence);
}

bool is_flat(const Json& json) {
  return json.is_object() &&
         std::ranges::none_of(json, [](const Json& value) { return value.is_structured(); });
}

/// A table with a row for each; keys of any of them are columns.
std::string table(const std::vector<std::pair<std::string, Json>>& rows, bool has_names) {
  std::vector<std::string> columns;
  for (const auto& [name, row] : rows) {
    for (const auto& [key, value] : row.items()) {
      if (std::ranges::find(columns, key) == columns.end()) columns.push_back(key);
    }
  }
  std::string head = has_names ? "| name |" : "|", rule = has_names ? "|---|" : "|", body;
  for (const std::string& column : columns) {
    head += fmt::format(" {} |", plain(column));
    rule += "---|";
  }
  for (const auto& [name, row] : rows) {
    body += has_names ? fmt::format("| {} |", plain(name)) : "|";
    for (const std::string& column : columns) {
      body += fmt::format(" {} |", row.contains(column) ? value_text(row[column]) : "-");
    }
    body += '\n';
  }
  return fmt::format("\n{}\n{}\n{}", head, rule, body);
}

/// Lists for what is simple, tables for what is alike, and the same again for what is inside.
std::string render(const Json& json, const std::string& prefix = "") {
  std::string lines, blocks;
  for (const auto& [key, value] : json.items()) {
    if (value.is_structured() && value.empty()) continue;
    const std::string name = prefix.empty() ? key : prefix + "." + key;
    if (value.is_array() && std::ranges::all_of(value, is_flat)) {
      std::vector<std::pair<std::string, Json>> rows;
      for (const Json& row : value) rows.emplace_back("", row);
      blocks += fmt::format("\n{}:\n{}", plain(name), table(rows, false));
    } else if (value.is_array() && value[0].is_object()) {
      for (const Json& part : value) blocks += fmt::format("\n{}", render(part, name));
    } else if (value.is_object() && std::ranges::all_of(value, is_flat)) {
      std::vector<std::pair<std::string, Json>> rows;
      for (const auto& [row_name, row] : value.items()) rows.emplace_back(row_name, row);
      blocks += fmt::format("\n{}:\n{}", plain(name), table(rows, true));
    } else if (value.is_object()) {
      lines += render(value, name);
    } else if (key == "samples" && value.is_array()) {
      blocks += fmt::format("\n{}:\n", plain(name));
      for (const Json& text : value) {
        blocks += fmt::format(
            "\n{}", fenced(text.is_string() ? text.get<std::string>() : value_text(text)));
      }
    } else {
      lines += fmt::format("- {}: {}\n", plain(name), value_text(value));
    }
  }
  return lines + blocks;
}

/// "3h51m", "12m", "43s".
std::string wall_text(double seconds) {
  const int64_t s = std::llround(seconds);
  if (s >= 3600) return fmt::format("{}h{}m", s / 3600, s % 3600 / 60);
  if (s >= 60) return fmt::format("{}m{}s", s / 60, s % 60);
  return seconds < 10 ? fmt::format("{:.1f}s", seconds) : fmt::format("{}s", s);
}

std::string section_text(const Section& section) {
  std::string out = fmt::format("## {}\n\n", find_section_info(section.name)->title);
  if (!section.model.empty() && !section.results.contains("model"))
    out += fmt::format("- model: {}\n", plain(section.model));
  out += fmt::format("- from {} to {}: {}\n", iso_time(section.started), iso_time(section.finished),
                     wall_text(section.seconds));
  out += render(section.results);
  if (!section.settings.empty()) out += "\n### Settings\n\n" + render(section.settings);
  return out + "\n";
}

/// "0.2875 ±0.0132".
std::string cell_text(const std::optional<SummaryCell>& cell) {
  if (!cell) return "-";
  std::string text = fmt::format("{:.4f}", cell->value);
  if (cell->standard_error) text += fmt::format(" ±{:.4f}", *cell->standard_error);
  return text;
}

/// Of how many examples; more than one number where the stages differ.
std::string examples_text(const SummaryRow& row) {
  std::vector<std::string> counts;
  for (const auto& cell : row.cells) {
    if (!cell || cell->examples == 0) continue;
    std::string count = std::to_string(cell->examples);
    if (std::ranges::find(counts, count) == counts.end()) counts.push_back(std::move(count));
  }
  return fmt::format("{}", fmt::join(counts, "/"));
}

std::string summary_text(const Report& report) {
  std::string out = "## Summary\n\n";
  const std::vector<SummaryRow> rows = summary_of(report.sections);
  size_t width = 15;
  for (const SummaryRow& row : rows) width = std::max(width, plain(row.metric).size());
  const auto line = [&out, width](const std::string& metric, const std::string& examples,
                                  const std::array<std::string, 4>& cells) {
    out += fmt::format("| {:<{}} | {:>8} | {:<14} | {:<14} | {:<14} | {:<14} |\n", metric, width,
                       examples, cells[0], cells[1], cells[2], cells[3]);
  };
  line("Metric", "Examples", {"BASE", "MID", "SFT", "RL"});
  const std::string rule(16, '-');
  out += fmt::format("|{}|{:->9}:|{}|{}|{}|{}|\n", std::string(width + 2, '-'), "", rule, rule,
                     rule, rule);
  for (const SummaryRow& row : rows) {
    line(plain(row.metric), examples_text(row),
         {cell_text(row.cells[0]), cell_text(row.cells[1]), cell_text(row.cells[2]),
          cell_text(row.cells[3])});
  }
  if (rows.empty()) line("-", "", {"-", "-", "-", "-"});
  out += "\n± is the standard error over the examples.\n\n";
  const double seconds = wall_seconds(report);
  out += fmt::format("Total wall clock time: {}\n",
                     report.sections.empty() ? "unknown" : wall_text(seconds));
  return out;
}

}  // namespace

std::string report_markdown(const Report& report) {
  std::string out = fmt::format("# nanochat report\n\nGenerated: {}\n\n## Environment\n\n{}\n",
                                iso_time(report.generated), render(report.system));
  for (const Section& section : report.sections) out += section_text(section);
  if (!report.problems.empty()) {
    out += "## Problems\n\n";
    for (const std::string& problem : report.problems) {
      out += fmt::format("- {}\n", plain(problem));
    }
    out += "\n";
  }
  return out + summary_text(report);
}

}  // namespace nanochat
