#include "cli/task.h"

#include <algorithm>
#include <filesystem>
#include <string_view>
#include <system_error>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "cli/text_io.h"
#include "core/error.h"
#include "core/file.h"
#include "tasks/identity.h"
#include "tasks/registry.h"
#include "tokenizer/utf8.h"

namespace nanochat::cli {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

std::string_view eval_name(EvalType type) {
  switch (type) {
    case EvalType::kGenerative:
      return "generative";
    case EvalType::kCategorical:
      return "categorical";
    case EvalType::kNone:
      break;
  }
  return "none";
}

Json example_json(const TaskExample& example, int64_t i) {
  Json json{{"index", i}};
  if (!example.subject.empty()) json["subject"] = example.subject;
  if (!example.letters.empty()) json["letters"] = example.letters;
  json.update(Json::parse(conversation_json(example.conversation)));
  return json;
}

std::string shown(std::string_view text) {
  return utf8::controls_shown(utf8::replace_invalid(text));
}

std::string example_text(const TaskExample& example, int64_t i) {
  std::string text = fmt::format("\n--- example {}", i);
  if (!example.subject.empty()) text += fmt::format(", {}", shown(example.subject));
  if (!example.letters.empty()) text += fmt::format(", one of {}", fmt::join(example.letters, " "));
  for (const Message& message : example.conversation.messages) {
    text += fmt::format("\n[{}]\n", role_name(message.role));
    if (const auto* const plain = std::get_if<std::string>(&message.content)) {
      text += shown(*plain);
      continue;
    }
    for (const MessagePart& part : std::get<std::vector<MessagePart>>(message.content)) {
      if (part.type == PartType::kText) text += shown(part.text);
      if (part.type == PartType::kPython)
        text += fmt::format("<python>{}</python>", shown(part.text));
      if (part.type == PartType::kPythonOutput) {
        text += fmt::format("<output>{}</output>", shown(part.text));
      }
    }
  }
  return text + "\n";
}

}  // namespace

TaskData task_data(const CommonOptions& common, const std::vector<std::string>& folders) {
  TaskData data{.base_dir = common.base_dir};
  for (const std::string& folder : folders) {
    if (std::error_code error; !fs::is_directory(folder, error)) {
      throw NotFoundError("--task-data {}: there is no such folder", folder);
    }
    data.folders.emplace_back(folder);
  }
  return data;
}

void run_task_list(const CommonOptions& common, const TaskListOptions&) {
  if (common.json) {
    Json tasks = Json::array();
    for (const TaskInfo& task : task_registry()) {
      tasks.push_back({{"name", task.name},
                       {"what", task.what},
                       {"splits", task.splits},
                       {"dataset", task.dataset.empty() ? Json() : Json(task.dataset)}});
    }
    print_json({{"tasks", std::move(tasks)}});
    return;
  }
  constexpr std::string_view kRow = "{:<17} {:<14} {:<39} {}\n";
  std::string table = fmt::format(fmt::runtime(kRow), "name", "data set", "splits", "what");
  for (const TaskInfo& task : task_registry()) {
    table += fmt::format(fmt::runtime(kRow), task.name, task.dataset.empty() ? "-" : task.dataset,
                         fmt::format("{}", fmt::join(task.splits, ", ")), task.what);
  }
  print_bytes(table);
  print_bytes(
      "\nA task is written NAME[:SPLIT][:COUNT][*TIMES], as gsm8k:train:100*2, or is the path of a "
      ".jsonl file of\nyour own conversations. nanochat data download fetches a data set; those "
      "marked - need none.\n");
}

void run_task_show(const CommonOptions& common, const TaskShowOptions& options) {
  const TaskPtr task = make_task(options.spec, task_data(common, options.task_data));
  const int64_t first = options.start;
  const int64_t end = std::min(task->size(), first + options.n);
  if (first > 0 && first >= task->size()) {
    throw UsageError("--start {}: {} has {} examples, counted from 0", first, options.spec,
                     task->size());
  }
  if (common.json) {
    Json examples = Json::array();
    for (int64_t i = first; i < end; ++i) examples.push_back(example_json(task->example(i), i));
    print_json({{"name", task->name()},
                {"size", task->size()},
                {"eval_type", eval_name(task->eval_type())},
                {"has_reward", task->has_reward()},
                {"examples", std::move(examples)}});
    return;
  }
  print_bytes(fmt::format("{}: {} examples, {}\n", shown(task->name()), task->size(),
                          task->eval_type() == EvalType::kNone
                              ? "for training only"
                              : fmt::format("judged as {}", eval_name(task->eval_type()))));
  for (int64_t i = first; i < end; ++i) print_bytes(example_text(task->example(i), i));
}

void run_data_identity(const CommonOptions& common, const DataIdentityOptions& options) {
  const fs::path path = options.out.empty() ? common.base_dir / "identity_conversations.jsonl"
                                            : fs::path(options.out);
  const std::string text = identity_file(options.name);
  if (std::error_code error; !options.overwrite && fs::is_regular_file(path, error)) {
    throw UsageError("{}: is there already, and may have been edited: --overwrite replaces it",
                     path.string());
  }
  if (options.out.empty()) {
    std::error_code error;
    fs::create_directories(common.base_dir, error);
    if (error) throw_errno("make the folder", common.base_dir, error.value());
  }
  write_file_atomically(path, text);
  const auto n = std::ranges::count(text, '\n');
  if (common.json) {
    print_json({{"path", path.string()}, {"conversations", n}});
    return;
  }
  print_bytes(fmt::format("{} conversations in {}\n", n, path.string()));
}

}  // namespace nanochat::cli
