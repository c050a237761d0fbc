#include "eval/core_tasks.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <numeric>
#include <optional>
#include <string_view>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <yaml-cpp/yaml.h>

#include "core/error.h"
#include "core/file.h"
#include "data/unzip.h"
#include "tasks/python_random.h"
#include "tasks/row_table.h"
#include "tasks/row_task.h"

namespace nanochat {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr int64_t kMaxListBytes = int64_t{16} << 20;
constexpr uint64_t kShuffleSeed = 1337;

// ---- core.yaml ---------------------------------------------------------------------------------

CoreFormat format_named(const std::string& name, const std::string& where) {
  if (name == "multiple_choice") return CoreFormat::kMultipleChoice;
  if (name == "schema") return CoreFormat::kSchema;
  if (name == "language_modeling") return CoreFormat::kLanguageModeling;
  throw DataError("{}: icl_task_type '{}': expected multiple_choice, schema or language_modeling",
                  where, name);
}

/// Throws DataError unless the entry is what the list of tasks is made of.
CoreTask task_of(const YAML::Node& node, const fs::path& folder, const std::string& where) {
  const auto text = [&](const char* key) {
    if (!node[key] || !node[key].IsScalar()) throw DataError("{}: no {}", where, key);
    return node[key].as<std::string>();
  };
  CoreTask task{.label = text("label"),
                .file = folder / "eval_data" / text("dataset_uri"),
                .format = format_named(text("icl_task_type"), where)};
  const YAML::Node shots = node["num_fewshot"];
  if (!shots || !shots.IsSequence() || shots.size() == 0 ||
      !YAML::convert<int64_t>::decode(shots[0], task.num_fewshot) || task.num_fewshot < 0) {
    throw DataError("{}: num_fewshot: expected a list of numbers, as [10]", where);
  }
  if (node["continuation_delimiter"]) task.delimiter = text("continuation_delimiter");
  return task;
}

std::vector<CoreTask> tasks_of_yaml(const fs::path& folder) {
  const fs::path path = folder / "core.yaml";
  const std::string text = read_file(path, kMaxListBytes);
  try {
    const YAML::Node list = YAML::Load(text)["icl_tasks"];
    if (!list || !list.IsSequence()) throw DataError("{}: no list icl_tasks", path.string());
    std::vector<CoreTask> tasks;
    for (const YAML::Node& node : list) {
      const std::string where = fmt::format("{}:{}", path.string(), node.Mark().line + 1);
      if (!node.IsMap()) throw DataError("{}: expected a task", where);
      tasks.push_back(task_of(node, folder, where));
    }
    return tasks;
  } catch (const YAML::Exception& e) {
    throw DataError("{}:{}: {}", path.string(), e.mark.line + 1, e.msg);
  }
}

// ---- eval_meta_data.csv ------------------------------------------------------------------------

/// The fields of a CSV row that begins at text[at]; `at` moves behind it, `line` by the lines that
/// it spans. Quotes hold commas, line breaks and doubled quotes (RFC 4180).
std::vector<std::string> next_csv_row(std::string_view text, size_t& at, int64_t& line) {
  std::vector<std::string> fields(1);
  bool quoted = false;
  for (; at < text.size(); ++at) {
    const char c = text[at];
    if (c == '\n') ++line;
    if (c == '"') {
      const bool doubled = quoted && at + 1 < text.size() && text[at + 1] == '"';
      if (doubled) fields.back() += text[at++];
      if (!doubled) quoted = !quoted;
    } else if (quoted) {
      fields.back() += c;
    } else if (c == ',') {
      fields.emplace_back();
    } else if (c == '\n') {
      ++at;
      break;
    } else if (c != '\r') {
      fields.back() += c;
    }
  }
  return fields;
}

/// By label, what guessing gives, as a fraction.
std::map<std::string, double> baselines_of_csv(const fs::path& path) {
  const std::string text = read_file(path, kMaxListBytes);
  size_t at = text.starts_with("\xEF\xBB\xBF") ? 3 : 0;
  int64_t line = 1;
  const std::vector<std::string> header = next_csv_row(text, at, line);
  const auto column = [&](const char* name) {
    const auto found = std::ranges::find(header, name);
    if (found == header.end()) throw DataError("{}:1: no column '{}'", path.string(), name);
    return static_cast<size_t>(found - header.begin());
  };
  const size_t label = column("Eval Task"), baseline = column("Random baseline");
  std::map<std::string, double> baselines;
  while (at < text.size()) {
    const std::string where = fmt::format("{}:{}", path.string(), line);
    const std::vector<std::string> row = next_csv_row(text, at, line);
    if (row.size() == 1 && row[0].empty()) continue;
    if (row.size() <= std::max(label, baseline)) {
      throw DataError("{}: {} columns, {} expected", where, row.size(), header.size());
    }
    const std::string& number = row[baseline];
    double percent = 0;
    const auto [end, error] =
        std::from_chars(number.data(), number.data() + number.size(), percent);
    if (error != std::errc() || end != number.data() + number.size() || percent < 0 ||
        percent >= 100) {
      throw DataError("{}: the random baseline is no percentage, 0 to 100", where);
    }
    baselines[row[label]] = 0.01 * percent;
  }
  return baselines;
}

// ---- lines of eval_data ------------------------------------------------------------------------

/// Python's str() of a value; nothing for lists and objects.
std::optional<std::string> python_text(const json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_null()) return "None";
  if (value.is_boolean()) return value.get<bool>() ? "True" : "False";
  if (value.is_number()) return value.dump();
  return {};
}

std::string text_of(const json& value, const TaskRow& row, const char* key) {
  std::optional<std::string> text = python_text(value);
  if (!text) throw DataError("{}: '{}': expected a text", row.place, key);
  return std::move(*text);
}

std::string text_at(const TaskRow& row, const char* key) {
  return text_of(row.member(key), row, key);
}

std::vector<std::string> texts_at(const TaskRow& row, const char* key) {
  const json& list = row.member(key);
  if (!list.is_array() || list.size() < 2) {
    throw DataError("{}: '{}': expected a list of two texts or more", row.place, key);
  }
  std::vector<std::string> texts;
  for (const json& value : list) texts.push_back(text_of(value, row, key));
  return texts;
}

/// The index of an option.
int64_t gold_of(const TaskRow& row, size_t n_options) {
  const json& value = row.member("gold");
  const int64_t gold = value.is_number_integer() ? value.get<int64_t>() : -1;
  if (gold < 0 || gold >= static_cast<int64_t>(n_options)) {
    throw DataError("{}: 'gold' is {}: expected 0 to {}", row.place, value.dump(), n_options - 1);
  }
  return gold;
}

CoreExample example_of(const TaskRow& row, CoreFormat format) {
  CoreExample example{.place = row.place};
  switch (format) {
    case CoreFormat::kMultipleChoice:
      example.context = text_at(row, "query");
      example.options = texts_at(row, "choices");
      example.gold = gold_of(row, example.options.size());
      break;
    case CoreFormat::kSchema:
      example.options = texts_at(row, "context_options");
      example.continuation = text_at(row, "continuation");
      example.gold = gold_of(row, example.options.size());
      break;
    case CoreFormat::kLanguageModeling:
      example.context = text_at(row, "context");
      example.continuation = text_at(row, "continuation");
      break;
  }
  return example;
}

}  // namespace

fs::path find_core_bundle(const fs::path& base_dir, const std::string& named) {
  if (!named.empty()) {
    if (fs::exists(fs::path(named) / "core.yaml")) return named;
    throw NotFoundError("{}: no core.yaml in it: name the folder that has one", named);
  }
  const fs::path folders[] = {base_dir / "eval_bundle",
                              base_dir / "data" / "core-eval-bundle" / "eval_bundle"};
  for (const fs::path& folder : folders) {
    const fs::path zip = folder.string() + ".zip";
    if (!fs::exists(folder) && fs::exists(zip)) unzip(zip, folder);
    if (fs::exists(folder / "core.yaml")) return folder;
  }
  throw NotFoundError(
      "{}: the tasks of CORE are not there: nanochat data download core-eval-bundle fetches them, "
      "or name another folder (--bundle)",
      folders[1].string());
}

std::vector<CoreTask> read_core_tasks(const fs::path& folder) {
  std::vector<CoreTask> tasks = tasks_of_yaml(folder);
  const fs::path csv = folder / "eval_meta_data.csv";
  const std::map<std::string, double> baselines = baselines_of_csv(csv);
  for (CoreTask& task : tasks) {
    const auto found = baselines.find(task.label);
    if (found == baselines.end()) {
      throw DataError("{}: no row for '{}', which is in core.yaml", csv.string(), task.label);
    }
    task.baseline = found->second;
  }
  return tasks;
}

std::vector<CoreTask> select_core_tasks(std::vector<CoreTask> tasks,
                                        const std::vector<std::string>& labels) {
  if (labels.empty()) return tasks;
  for (const std::string& label : labels) {
    if (std::ranges::find(tasks, label, &CoreTask::label) != tasks.end()) continue;
    std::vector<std::string_view> known;
    for (const CoreTask& task : tasks) known.push_back(task.label);
    throw NotFoundError("no task '{}' in core.yaml: there are {}", label, fmt::join(known, ", "));
  }
  std::erase_if(tasks, [&](const CoreTask& task) {
    return std::ranges::find(labels, task.label) == labels.end();
  });
  return tasks;
}

std::vector<CoreExample> read_core_examples(const CoreTask& task, int64_t max) {
  if (!std::filesystem::exists(task.file)) {
    throw NotFoundError("{}: no such file", task.file.string());
  }
  const RowTable rows({task.file});
  std::vector<int64_t> order(static_cast<size_t>(rows.size()));
  std::iota(order.begin(), order.end(), 0);
  PythonRandom(kShuffleSeed).shuffle(order);
  if (max > 0 && max < std::ssize(order)) order.resize(static_cast<size_t>(max));
  std::vector<CoreExample> examples;
  for (const int64_t i : order) {
    TaskRow row{json::parse(rows.row(i), nullptr, false), rows.place(i)};
    if (!row.json.is_object()) {
      throw DataError("{}: a JSON object is expected, one a line", row.place);
    }
    examples.push_back(example_of(row, task.format));
  }
  return examples;
}

}  // namespace nanochat
