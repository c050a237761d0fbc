#include "tasks/registry.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <memory>
#include <utility>

#include <fmt/ranges.h>

#include "core/error.h"
#include "tasks/arc.h"
#include "tasks/custom_json.h"
#include "tasks/gsm8k.h"
#include "tasks/humaneval.h"
#include "tasks/identity.h"
#include "tasks/mmlu.h"
#include "tasks/smoltalk.h"
#include "tasks/spelling.h"
#include "tasks/synth_world.h"

namespace nanochat {
namespace {

/// A new task is a file of its own and a line here (docs/extending.md).
std::vector<TaskInfo> make_registry() {
  return {
      {"ARC-Easy", "science questions", {"train", "validation", "test"}, "arc", make_arc},
      {"ARC-Challenge", "harder ones", {"train", "validation", "test"}, "arc", make_arc},
      {"MMLU",
       "multiple-choice questions on 57 subjects",
       {"auxiliary_train", "validation", "dev", "test"},
       "mmlu",
       make_mmlu},
      {"GSM8K", "mathematics in words, with the tool", {"train", "test"}, "gsm8k", make_gsm8k},
      {"HumanEval", "Python functions to write", {"test"}, "humaneval", make_humaneval},
      {"SmolTalk", "conversations", {"train", "test"}, "smol-smoltalk", make_smoltalk},
      {"SpellingBee", "counting letters", {"train", "test"}, "", make_spelling_bee_task},
      {"SimpleSpelling", "spelling words", {"train", "test"}, "", make_simple_spelling_task},
      {"identity", "who the assistant is", {"train"}, "", make_identity},
      {"World", "all questions of the synthetic world", {"train", "test"}, "", make_synth_world},
      {"World-Facts", "who lives where", {"train", "test"}, "", make_synth_world},
      {"World-Arithmetic", "sums up to 99, with the tool", {"train", "test"}, "", make_synth_world},
      {"World-Problems", "the same in words", {"train", "test"}, "", make_synth_world},
      {"World-Spelling", "letters of words", {"train", "test"}, "", make_synth_world},
      {"World-Counting", "how many of a letter", {"train", "test"}, "", make_synth_world},
      {"World-Calculator",
       "larger sums with the tool, answered with ####",
       {"train", "test"},
       "",
       make_synth_world},
      {"World-Chat", "conversations about it", {"train", "test"}, "", make_synth_world},
  };
}

/// Capitals, - and _ do not matter.
std::string plain(std::string_view name) {
  std::string letters;
  for (const char c : name) {
    if (c == '-' || c == '_') continue;
    letters += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  }
  return letters;
}

bool is_number(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

int64_t parse_number(std::string_view text, std::string_view spec) {
  int64_t n = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), n);
  if (error != std::errc() || end != text.data() + text.size() || n < 1) {
    throw UsageError("{}: '{}' is no number of 1 or more", spec, text);
  }
  return n;
}

/// What stands behind the last `mark`, taken off; nothing when there is no mark.
std::optional<std::string_view> take_behind(std::string_view& text, char mark) {
  const size_t at = text.rfind(mark);
  if (at == std::string_view::npos) return std::nullopt;
  const std::string_view behind = text.substr(at + 1);
  text = text.substr(0, at);
  return behind;
}

/// The split that is meant: its name in the registry.
std::string find_split(const TaskInfo& task, const std::string& split) {
  if (split.empty()) return std::string(task.splits.front());
  if (std::ranges::find(task.splits, split) != task.splits.end()) return split;
  throw UsageError("{} has no split '{}': it has {}", task.name, split,
                   fmt::join(task.splits, ", "));
}

}  // namespace

std::span<const TaskInfo> task_registry() {
  static const std::vector<TaskInfo> tasks = make_registry();
  return tasks;
}

const TaskInfo& find_task_info(std::string_view name) {
  std::vector<std::string_view> names;
  for (const TaskInfo& task : task_registry()) {
    if (plain(task.name) == plain(name)) return task;
    names.push_back(task.name);
  }
  throw NotFoundError(
      "no task '{}' is known: there are {}, and files of own conversations (.jsonl)", name,
      fmt::join(names, ", "));
}

TaskSpec parse_task_spec(std::string_view text) {
  TaskSpec spec;
  std::string_view rest = text;
  if (rest.find('*') != std::string_view::npos) {
    spec.times = parse_number(*take_behind(rest, '*'), text);
  }
  if (const size_t at = rest.rfind(':'); at != std::string_view::npos) {
    if (is_number(rest.substr(at + 1))) spec.count = parse_number(*take_behind(rest, ':'), text);
  }
  if (!is_table_file(std::filesystem::path(rest))) {
    if (const auto split = take_behind(rest, ':')) spec.split = *split;
  }
  spec.name = rest;
  if (spec.name.empty()) throw UsageError("'{}' names no task: give NAME[:SPLIT][:COUNT]", text);
  return spec;
}

TaskPtr make_task(const TaskSpec& spec, const TaskData& data) {
  TaskPtr task;
  if (is_table_file(spec.name)) {
    if (!spec.split.empty()) throw UsageError("{}: a file has no split", spec.name);
    task = make_custom_json(std::filesystem::path(spec.name));
  } else {
    const TaskInfo& info = find_task_info(spec.name);
    task = info.make({std::string(info.name), find_split(info, spec.split), spec.count, data});
  }
  return slice(std::move(task), 0, spec.count);
}

TaskPtr make_task(std::string_view text, const TaskData& data) {
  const TaskSpec spec = parse_task_spec(text);
  TaskPtr task = make_task(spec, data);
  if (spec.times == 1) return task;
  return std::make_shared<TaskSequence>(
      std::vector<TaskPtr>(static_cast<size_t>(spec.times), std::move(task)));
}

std::shared_ptr<const TaskMixture> make_mixture(std::span<const std::string> specs,
                                                const TaskData& data) {
  if (specs.empty()) throw UsageError("a mixture of no tasks: name one, as NAME[:SPLIT][:COUNT]");
  std::vector<TaskPtr> tasks;
  for (const std::string& text : specs) {
    const TaskSpec spec = parse_task_spec(text);
    const TaskPtr task = make_task(spec, data);
    for (int64_t i = 0; i < spec.times; ++i) tasks.push_back(task);
  }
  return std::make_shared<TaskMixture>(std::move(tasks));
}

}  // namespace nanochat
