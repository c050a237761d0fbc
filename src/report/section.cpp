#include "report/section.h"

#include <algorithm>
#include <cmath>
#include <ctime>
#include <iterator>
#include <utility>

#include <fmt/chrono.h>
#include <fmt/format.h>

#include "core/error.h"
#include "core/file.h"
#include "train/run_folder.h"

namespace nanochat {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr const char* kFormat = "nanochat-report-section";
constexpr int64_t kMaxBytes = int64_t{64} << 20;

/// Seconds since 1970 of what iso_time wrote.
double parse_iso_time(const std::string& text) {
  std::tm tm{};
  if (::strptime(text.c_str(), "%Y-%m-%dT%H:%M:%SZ", &tm) == nullptr) return 0;
  return static_cast<double>(::timegm(&tm));
}

Json to_json(const Section& s) {
  return {{"format", kFormat},
          {"version", 1},
          {"section", s.name},
          {"title", find_section_info(s.name)->title},
          {"model", s.model},
          {"model_id", s.model_id},
          {"command", s.command},
          {"started", iso_time(s.started)},
          {"finished", iso_time(s.finished)},
          {"seconds", s.seconds},
          {"settings", s.settings},
          {"results", s.results}};
}

Section from_json(const Json& json) {
  Section s{.name = json.at("section"),
            .model = json.at("model"),
            .model_id = json.at("model_id"),
            .command = json.at("command"),
            .started = parse_iso_time(json.at("started")),
            .finished = parse_iso_time(json.at("finished")),
            .seconds = json.at("seconds"),
            .settings = json.at("settings"),
            .results = json.at("results")};
  if (!s.settings.is_object()) s.settings = Json::object();
  if (!s.results.is_object()) s.results = Json::object();
  return s;
}

/// Those of the named tasks; nothing when one is missing.
std::optional<std::vector<EvalScore>> scores_named(const Json& names,
                                                   const std::vector<EvalScore>& all) {
  if (!names.is_array()) return std::nullopt;
  std::vector<EvalScore> scores;
  for (const Json& name : names) {
    const auto found =
        std::ranges::find_if(all, [&](const EvalScore& score) { return name == score.task; });
    if (found == all.end()) return std::nullopt;
    scores.push_back(*found);
  }
  return scores;
}

/// results[key], the mean of these, and its standard error.
void put_mean(Json& results, const std::string& key, const std::vector<EvalScore>& scores) {
  if (const auto mean = mean_centered(scores)) results[key] = *mean;
  const auto error = mean_centered_error(scores);
  results[key + "_error"] = error ? Json(*error) : Json();
}

}  // namespace

const SectionInfo* find_section_info(std::string_view name) {
  const auto* const found = std::ranges::find(kSections, name, &SectionInfo::name);
  return found == kSections.end() ? nullptr : found;
}

std::string checkpoint_id(const fs::path& checkpoint) {
  try {
    const Json manifest =
        Json::parse(read_file(checkpoint / kManifestFileName, kMaxBytes), nullptr, false);
    return manifest.is_object() ? manifest.value("xxh3", "") : "";
  } catch (const Error&) {
    return "";
  } catch (const Json::exception&) {
    return "";
  }
}

fs::path section_file(const fs::path& base_dir, std::string_view name) {
  return base_dir / "report" / fmt::format("{}.json", name);
}

void write_section(const fs::path& base_dir, Section section) {
  NC_CHECK(find_section_info(section.name) != nullptr, "no section '{}'", section.name);
  std::error_code error;
  fs::create_directories(base_dir / "report", error);
  if (error) throw_errno("make", base_dir / "report", error.value());
  std::optional<Section> before;
  try {
    before = read_section(base_dir, section.name);
  } catch (const DataError&) {  // it is replaced
  }
  if (before && !section.model_id.empty() && before->model_id == section.model_id &&
      before->results.contains("tasks") && section.results.contains("tasks")) {
    merge_results(before->results, section.results);
    section.seconds += before->seconds;
  }
  write_file_atomically(
      section_file(base_dir, section.name),
      to_json(section).dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
}

std::optional<Section> read_section(const fs::path& base_dir, std::string_view name) {
  const fs::path file = section_file(base_dir, name);
  std::error_code ignored;
  if (!fs::exists(file, ignored)) return std::nullopt;
  const Json json = Json::parse(read_file(file, kMaxBytes), nullptr, /*allow_exceptions=*/false);
  try {
    if (json.at("format") != kFormat || json.at("section") != name) {
      throw DataError("{}: not the section {} of a report: remove it", file.string(), name);
    }
    return from_json(json);
  } catch (const Json::exception&) {
    throw DataError("{}: not a section of a report: remove it", file.string());
  }
}

std::vector<Section> read_sections(const fs::path& base_dir, std::vector<std::string>& problems) {
  std::vector<Section> sections;
  for (const SectionInfo& info : kSections) {
    try {
      if (auto section = read_section(base_dir, info.name)) sections.push_back(*std::move(section));
    } catch (const Error& e) {
      problems.emplace_back(e.what());
    }
  }
  return sections;
}

void remove_report(const fs::path& base_dir) {
  std::vector<fs::path> files{base_dir / "report" / "report.md",
                              base_dir / "report" / "report.html"};
  for (const SectionInfo& info : kSections) files.push_back(section_file(base_dir, info.name));
  for (const fs::path& file : files) {
    std::error_code error;
    fs::remove(file, error);
    if (error) throw_errno("remove", file, error.value());
  }
}

void merge_results(const Json& before, Json& now) {
  const auto old_tasks = before.find("tasks");
  if (old_tasks == before.end() || !old_tasks->is_object() || !now["tasks"].is_object()) return;
  for (const auto& [name, score] : old_tasks->items()) {
    if (!now["tasks"].contains(name)) now["tasks"][name] = score;
  }
  const std::vector<EvalScore> scores = task_scores(now);
  if (now.contains("core_metric")) put_mean(now, "core_metric", scores);
  constexpr std::string_view kTasks = "_tasks";
  for (const auto& [key, names] : before.items()) {  // "chatcore_tasks"
    if (!key.ends_with(kTasks)) continue;
    const auto named = scores_named(names, scores);
    if (!named) continue;
    now[key] = names;
    put_mean(now, key.substr(0, key.size() - kTasks.size()), *named);
  }
}

std::string iso_time(double seconds_since_1970) {
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}",
                     fmt::gmtime(static_cast<std::time_t>(seconds_since_1970)));
}

std::optional<double> number_at(const Json& json, std::string_view key) {
  if (!json.is_object()) return std::nullopt;
  const auto found = json.find(key);
  if (found == json.end() || !found->is_number()) return std::nullopt;
  return found->get<double>();
}

std::vector<EvalScore> task_scores(const Json& results) {
  std::vector<EvalScore> scores;
  const auto tasks = results.find("tasks");
  if (tasks == results.end() || !tasks->is_object()) return scores;
  for (const auto& [name, task] : tasks->items()) {
    const auto accuracy = number_at(task, "accuracy");
    const double examples = number_at(task, "examples").value_or(0);
    const double baseline = number_at(task, "baseline").value_or(0);
    if (!accuracy || *accuracy < 0 || *accuracy > 1 || examples < 1) continue;
    scores.push_back({.task = name,
                      .baseline = baseline < 1 ? baseline : 0,
                      .correct = std::llround(*accuracy * examples),
                      .total = std::llround(examples)});
  }
  return scores;
}

}  // namespace nanochat
