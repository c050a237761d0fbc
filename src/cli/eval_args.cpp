#include <memory>
#include <string>

#include <fmt/format.h>

#include "cli/command_line.h"
#include "cli/eval.h"
#include "cli/option_types.h"
#include "eval/chat_eval.h"

namespace nanochat::cli {
namespace {

void add_records(CLI::App& command, std::string& records) {
  command
      .add_option("--records", records,
                  "what became of each example, a JSON object a line; the file gets its name at "
                  "the end")
      ->type_name("FILE.jsonl");
}

void add_eval_core(CLI::App& eval, CommonOptions& common, Action& action) {
  const auto o = std::make_shared<EvalCoreOptions>();
  CLI::App& core = add_command(eval, "core",
                               "the CORE metric: 22 tasks for a base model, the mean of their "
                               "accuracies with chance at 0",
                               common, action, o, run_eval_core);
  add_model(core, o->model.model)
      ->description(
          "stage:tag@step, every part optional (base, base:d4), or the folder of a run "
          "or checkpoint; nothing: the newest of base");
  core.add_option("--bundle", o->bundle,
                  "the folder of the tasks, with core.yaml in it (default: where nanochat data "
                  "download core-eval-bundle puts it)")
      ->type_name("DIR");
  core.add_option("--tasks", o->tasks, "only these, by the labels of core.yaml")
      ->type_name("LABEL,...")
      ->allow_extra_args(false)
      ->delimiter(',');
  add_count(core, "--max-per-task", o->max_per_task,
            "the first so many examples of each task in their shuffled order; few-shot examples "
            "come from these too; -1: all",
            true);
  add_count(core, "--max-seq-len", o->max_seq_len,
            "longer texts lose their front (default: all positions that the model knows)")
      ->type_name("TOKENS")
      ->default_str("");
  add_count(core, "--batch-size", o->batch_size, "texts at a time; it changes no result");
  add_records(core, o->records);
  core.add_option("--csv", o->csv, "the table, as upstream writes it (default: in <base>/eval)")
      ->type_name("FILE");
  add_model_tokenizer(core, o->model.tokenizer);
  add_device(core, o->model.device);
  add_dtype(core, o->model.dtype);
  add_quantize(core, o->model.quantize);
  add_common_options(core, common);
}

void add_chat_model_flags(CLI::App& chat, EvalChatOptions& o) {
  const char* const kGroup = "Model";
  add_model(chat, o.model.model)
      ->description(
          "stage:tag@step, every part optional (sft, sft:d12), or the folder of a run or "
          "checkpoint; nothing: the newest of rl, sft, mid or base");
  chat.add_option("-i,--source", o.source, "the stage: another way to name the model")
      ->type_name("STAGE")
      ->group(kGroup);
  chat.add_option("-g,--model-tag", o.model_tag, "the tag, likewise")
      ->type_name("TAG")
      ->group(kGroup);
  add_count(chat, "-s,--step", o.step, "the step, likewise")->default_str("")->group(kGroup);
  add_model_tokenizer(chat, o.model.tokenizer)->group(kGroup);
  add_device(chat, o.model.device)->group(kGroup);
  add_dtype(chat, o.model.dtype)->group(kGroup);
  add_quantize(chat, o.model.quantize)->group(kGroup);
}

void add_eval_chat(CLI::App& eval, CommonOptions& common, Action& action) {
  const auto o = std::make_shared<EvalChatOptions>();
  CLI::App& chat = add_command(eval, "chat", "examine a chat model with tasks; ChatCORE", common,
                               action, o, run_eval_chat);
  add_chat_model_flags(chat, *o);
  chat.add_option("-a,--task,--task-name", o->tasks,
                  fmt::format("NAME[:SPLIT][:COUNT], several with | or , between; all: {}",
                              fmt::join(kChatCoreTasks, ", ")))
      ->type_name("TASK")
      ->allow_extra_args(false)
      ->default_str("all");
  chat.add_option("--task-data", o->task_data, "folders to look for data sets in first")
      ->type_name("DIR")
      ->allow_extra_args(false);
  add_count(chat, "-x,--max-problems", o->max_problems, "the first so many of each task; -1: all",
            true);
  add_count(chat, "-b,--batch-size", o->batch_size, "problems at a time; it changes no result");
  add_records(chat, o->records);
  const char* const kGroup = "Written answers";
  add_count(chat, "-n,--num-samples", o->num_samples,
            "answers to each problem; it is solved when one is right")
      ->group(kGroup);
  chat.add_option("-t,--temperature", o->temperature, "0: always the most likely token")
      ->check(CLI::Range(0.0, 100.0).description(""))
      ->type_name("X")
      ->capture_default_str()
      ->group(kGroup);
  add_count(chat, "-k,--top-k", o->top_k, "draw only among the k most likely; 0: all")
      ->group(kGroup);
  add_count(chat, "-m,--max-new-tokens", o->max_new_tokens, "of an answer, at most")
      ->type_name("TOKENS")
      ->group(kGroup);
  add_count(chat, "--seed", o->seed, "one seed is one result")->group(kGroup);
  chat.add_option("--tools", o->tools, "what runs the python that a model writes in its answer")
      ->check(one_of({"none", "calculator", "python"}))
      ->type_name("none|calculator|python")
      ->capture_default_str()
      ->group(kGroup);
  add_common_options(chat, common);
}

}  // namespace

void add_eval_task_commands(CLI::App& eval, CommonOptions& common, Action& action) {
  add_eval_core(eval, common, action);
  add_eval_chat(eval, common, action);
}

}  // namespace nanochat::cli
