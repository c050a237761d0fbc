#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "cli/eval.h"
#include "cli/eval_output.h"
#include "cli/report_section.h"
#include "cli/text_io.h"
#include "core/error.h"
#include "core/log.h"
#include "eval/core.h"

namespace nanochat::cli {
namespace {

namespace fs = std::filesystem;

nlohmann::ordered_json record_json(const CoreRecord& r, const Tokenizer& tokenizer) {
  nlohmann::ordered_json json{
      {"task", r.task->label}, {"index", r.index}, {"place", r.place}, {"correct", r.correct}};
  if (r.task->format == CoreFormat::kLanguageModeling) {
    json["expected"] = tokenizer.decode(r.expected);
    json["answer"] = tokenizer.decode(r.answer);
  } else {
    json["gold"] = r.gold;
    json["predicted"] = r.predicted;
  }
  for (const double loss : r.losses) json["losses"].push_back(json_or_null(loss));
  json["cropped_tokens"] = r.cropped;
  return json;
}

CoreOptions core_options(const EvalCoreOptions& options, const Tokenizer& tokenizer,
                         EvalOutput& output) {
  CoreOptions core{.max_per_task = options.max_per_task,
                   .scoring = {.slots = options.batch_size,
                               .on_step = [&output] { output.check_interrupts(); }}};
  if (options.max_seq_len > 0) core.max_tokens = options.max_seq_len;
  core.on_start = [&output](const CoreTask& task, int64_t total) {
    output.start(task.label, total, "examples");
  };
  core.on_progress = [&output](const CoreProgress& p) { output.update(p.done, p.correct); };
  core.on_record = [&](const CoreRecord& r) {
    if (output.has_records()) output.record(record_json(r, tokenizer));
  };
  core.on_task = [&output](const EvalScore& score) { output.finish(score); };
  return core;
}

void say_what_is_odd(const CoreResult& result, size_t n_tasks) {
  if (!result.missing.empty()) {
    log_warning("not there, and left out of the mean: {}", fmt::join(result.missing, ", "));
  }
  if (n_tasks < 22 || !result.missing.empty()) {
    log_info("the mean is over {} tasks: not to be compared with the CORE of all 22",
             result.tasks.size());
  }
  if (result.cropped_examples > 0) {
    log_warning("{} examples are longer than what the model may see, and have lost their front",
                result.cropped_examples);
  }
}

}  // namespace

void run_eval_core(const CommonOptions& common, const EvalCoreOptions& options) {
  const fs::path bundle = find_core_bundle(common.base_dir, options.bundle);
  const std::vector<CoreTask> tasks = select_core_tasks(read_core_tasks(bundle), options.tasks);
  EvalOutput output(common, options.records);
  const LoadedModel model = load_model_for_inference(common, options.model);
  const fs::path csv = options.csv.empty() ? common.base_dir / "eval" /
                                                 (file_name_of(model.found.name) + "-core.csv")
                                           : fs::path(options.csv);
  if (options.csv.empty()) fs::create_directories(csv.parent_path());

  const CoreResult result = evaluate_core(*model.gpt, model.tokenizer, tasks,
                                          core_options(options, model.tokenizer, output));
  if (result.tasks.empty()) {
    throw NotFoundError("{}: no file of the tasks is there", (bundle / "eval_data").string());
  }
  output.commit_records();
  write_file_atomically(csv, core_csv(result));
  say_what_is_odd(result, tasks.size());
  const auto error = mean_centered_error(result.tasks);
  const nlohmann::ordered_json json{{"model", model.found.name},
                                    {"core_metric", json_or_null(result.metric())},
                                    {"core_metric_error", json_or_null(error)},
                                    {"tasks", scores_json(result.tasks)},
                                    {"missing", result.missing},
                                    {"max_per_task", options.max_per_task},
                                    {"cropped_examples", result.cropped_examples},
                                    {"tokens", result.stats.tokens},
                                    {"computed_tokens", result.stats.computed},
                                    {"csv", csv.string()}};
  record_evaluation(common, model, "base-model-evaluation", json);
  if (common.json) return print_json(json);
  fmt::print("{:<32} {:>18}\n", "CORE", with_error(result.metric(), error));
}

}  // namespace nanochat::cli
