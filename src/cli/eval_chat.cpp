#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "cli/eval.h"
#include "cli/eval_output.h"
#include "cli/report_section.h"
#include "cli/text_io.h"
#include "cli/tools.h"
#include "core/error.h"
#include "core/log.h"
#include "eval/chat_eval.h"
#include "tasks/registry.h"
#include "tasks/row_table.h"

namespace nanochat::cli {
namespace {

/// Upstream's number of problems of a task that has as many as one likes.
constexpr int64_t kSpellingProblems = 256;

/// The words between | and ,.
std::vector<std::string> split_names(const std::vector<std::string>& lists) {
  std::vector<std::string> names;
  for (std::string_view list : lists) {
    while (!list.empty()) {
      const size_t end = std::min(list.find_first_of("|,"), list.size());
      if (end > 0) names.emplace_back(list.substr(0, end));
      list.remove_prefix(std::min(end + 1, list.size()));
    }
  }
  return names;
}

struct Exam {
  std::string name;  // the registry's; with another split than that for exams, that too
  TaskPtr task;
};

/// A model is examined with what it has not been taught: the split "test", where there is one and
/// no other is named.
Exam make_exam(const std::string& text, const TaskData& data) {
  TaskSpec spec = parse_task_spec(text);
  if (is_table_file(spec.name)) return {text, make_task(spec, data)};
  const TaskInfo& info = find_task_info(spec.name);
  const bool has_test = std::ranges::find(info.splits, "test") != info.splits.end();
  if (spec.split.empty() && has_test) spec.split = "test";
  std::string name(info.name);
  if (!spec.split.empty() && spec.split != "test") name += ":" + spec.split;
  if (info.name == "SpellingBee" && !spec.count) spec.count = kSpellingProblems;
  return {std::move(name), make_task(spec, data)};
}

std::string model_name(const EvalChatOptions& options) {
  if (options.source.empty() && options.model_tag.empty() && options.step < 0) {
    return options.model.model;
  }
  if (!options.model.model.empty()) {
    throw UsageError("{} and --source, --model-tag or --step both name the model: leave one away",
                     options.model.model);
  }
  std::string name = options.source;
  if (!options.model_tag.empty()) name += ":" + options.model_tag;
  if (options.step >= 0) name += fmt::format("@{}", options.step);
  return name;
}

nlohmann::ordered_json record_json(const std::string& task, const ChatRecord& r) {
  nlohmann::ordered_json json{{"task", task},
                              {"index", r.index},
                              {"correct", r.correct},
                              {"answers", r.answers},
                              {"verdicts", r.verdicts}};
  if (!r.letters.empty()) {
    json["letters"] = r.letters;
    json["probabilities"] = r.probabilities;
  } else {
    json["finish_reason"] = r.reason;
  }
  return json;
}

/// The means over upstream's tasks, of those that have all been evaluated.
nlohmann::ordered_json chat_core_json(const std::vector<EvalScore>& scores) {
  const std::span<const std::string_view> all(kChatCoreTasks);
  nlohmann::ordered_json json = nlohmann::ordered_json::object();
  const auto add = [&](const char* key, std::span<const std::string_view> names) {
    const auto found = scores_of(scores, names);
    if (!found) return;
    json[key] = json_or_null(mean_centered(*found));
    json[std::string(key) + "_error"] = json_or_null(mean_centered_error(*found));
    json[std::string(key) + "_tasks"] = names;
  };
  add("chatcore", all);
  add("chatcore_5", all.first(5));    // without SpellingBee, as later upstreams
  add("chatcore_cat", all.first(3));  // those that are answered by a letter
  return json;
}

class ChatExam {
 public:
  ChatExam(const CommonOptions& common, const EvalChatOptions& options)
      : common_(common),
        options_(options),
        names_(split_names(options.tasks)),
        is_all_(names_ == std::vector<std::string>{"all"}) {
    if (is_all_) names_.assign(kChatCoreTasks.begin(), kChatCoreTasks.end());
    if (names_.empty()) throw UsageError("no task: name one with --task");
  }
  void run();

 private:
  std::vector<Exam> make_exams();
  void leave_out(const std::string& name, const Error& why);
  [[nodiscard]] nlohmann::ordered_json to_json(const std::string& model) const;
  void print(const nlohmann::ordered_json& json) const;

  const CommonOptions& common_;
  const EvalChatOptions& options_;
  std::vector<std::string> names_;
  const bool is_all_;
  std::vector<EvalScore> scores_;
  std::vector<std::string> missing_;
};

/// Of all tasks, those that can be had: a task that was named must be there.
void ChatExam::leave_out(const std::string& name, const Error& why) {
  log_warning("left out: {}", why.what());
  missing_.push_back(name);
}

std::vector<Exam> ChatExam::make_exams() {
  TaskData data{.base_dir = common_.base_dir};
  for (const std::string& folder : options_.task_data) data.folders.emplace_back(folder);
  std::vector<Exam> exams;
  for (const std::string& name : names_) {
    try {
      exams.push_back(make_exam(name, data));
    } catch (const NotFoundError& e) {
      if (!is_all_) throw;
      leave_out(name, e);
    }
  }
  return exams;
}

void ChatExam::run() {
  const std::vector<Exam> exams = make_exams();
  ChatEvalOptions chat{.max_problems = options_.max_problems,
                       .batch_size = options_.batch_size,
                       .num_samples = options_.num_samples,
                       .max_new_tokens = options_.max_new_tokens,
                       .sampling = {.temperature = options_.temperature, .top_k = options_.top_k},
                       .seed = static_cast<uint64_t>(options_.seed)};
  chat.sampling.validate();
  chat.tool = tool_named(options_.tools, chat.tool_is_slow);
  if (options_.num_samples > 1 && options_.temperature <= 0) {
    log_warning("at temperature 0 all samples of a problem are the same: one is drawn");
  }
  EvalOutput output(common_, options_.records);
  InferenceOptions which = options_.model;
  which.model = model_name(options_);
  const LoadedModel model = load_model_for_inference(common_, which);
  chat.on_step = [&] { output.check_interrupts(); };
  chat.on_progress = [&](const ChatEvalProgress& p) { output.update(p.done, p.correct); };
  for (const auto& [name, task] : exams) {
    const int64_t size = task->size();
    output.start(name, options_.max_problems < 0 ? size : std::min(size, options_.max_problems),
                 "problems");
    chat.on_record = [&, &task_name = name](const ChatRecord& r) {
      if (output.has_records()) output.record(record_json(task_name, r));
    };
    try {
      scores_.push_back(evaluate_chat_task(*model.gpt, model.tokenizer, *task, chat));
    } catch (const DeviceError& e) {  // no sandbox, say
      if (!is_all_) throw;
      leave_out(name, DeviceError("{}: {}", name, e.what()));
      continue;
    }
    scores_.back().task = name;
    output.finish(scores_.back());
  }
  output.commit_records();
  const nlohmann::ordered_json json = to_json(model.found.name);
  record_evaluation(common_, model, "chat-evaluation", json);
  print(json);
}

nlohmann::ordered_json ChatExam::to_json(const std::string& model) const {
  nlohmann::ordered_json json{{"model", model},
                              {"tasks", scores_json(scores_)},
                              {"missing", missing_},
                              {"max_problems", options_.max_problems},
                              {"num_samples", options_.num_samples},
                              {"temperature", options_.temperature}};
  json.update(chat_core_json(scores_));
  return json;
}

void ChatExam::print(const nlohmann::ordered_json& json) const {
  if (common_.json) return print_json(json);
  for (const auto& [key, name] :
       {std::pair{"chatcore", "ChatCORE"}, std::pair{"chatcore_5", "ChatCORE without SpellingBee"},
        std::pair{"chatcore_cat", "ChatCORE of letters"}}) {
    if (!json.contains(key)) continue;
    fmt::print(
        "{:<32} {:>18}\n", name,
        with_error(json[key].get<double>(), json[std::string(key) + "_error"].get<double>()));
  }
}

}  // namespace

void run_eval_chat(const CommonOptions& common, const EvalChatOptions& options) {
  ChatExam(common, options).run();
}

}  // namespace nanochat::cli
