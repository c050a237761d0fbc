#include "cli/model.h"

#include <fmt/format.h>

#include "cli/command_line.h"
#include "cli/option_types.h"

namespace nanochat::cli {
namespace {

void add_eval_loss(CLI::App& eval, CommonOptions& common, Action& action) {
  const auto o = std::make_shared<EvalLossOptions>();
  CLI::App& loss = add_command(eval, "loss", "bits per byte on training and validation text",
                               common, action, o, run_eval_loss);
  add_model(loss, o->model);
  loss.add_option("--data", o->data, "other text than the model was trained with")
      ->type_name("PATH...");
  loss.add_option("--val-data", o->val_data, "other validation text")->type_name("PATH...");
  loss.add_option("--text-field", o->text_field, "column or key that holds the text")
      ->type_name("NAME");
  loss.add_option_function<std::string>(
          "--txt-separator", [o](const std::string& text) { o->txt_separator = unescaped(text); },
          "what separates the documents of a .txt file")
      ->type_name("TEXT");
  add_count(loss, "--split-tokens", o->split_tokens, "of each split, at most once through")
      ->type_name("TOKENS");
  add_count(loss, "--device-batch-size", o->device_batch_size, "sequences at a time");
  add_model_tokenizer(loss, o->tokenizer);
  add_device(loss, o->device);
  add_dtype(loss, o->dtype);
  add_quantize(loss, o->quantize)
      ->description("int8: also with weights in 8 bits, and what that loses");
  add_common_options(loss, common);
}

void add_sample(CLI::App& app, CommonOptions& common, Action& action) {
  const auto o = std::make_shared<SampleOptions>();
  CLI::App& sample = add_command(app, "sample", "continue a text with a base model", common, action,
                                 o, run_sample);
  add_model(sample, o->model);
  sample.add_option("--prompt", o->prompts, "may be repeated; \"\": from nothing")
      ->type_name("TEXT")
      ->expected(1, -1);
  add_count(sample, "--max-new-tokens", o->max_new_tokens,
            "at most; a new document ends it earlier")
      ->type_name("TOKENS");
  add_count(sample, "--num-samples", o->num_samples, "of each prompt");
  sample.add_option("--temperature", o->temperature, "0: always the most likely token")
      ->check(CLI::Range(0.0, 100.0).description(""))
      ->type_name("X")
      ->capture_default_str();
  add_count(sample, "--top-k", o->top_k, "draw only among the k most likely; 0: all");
  add_count(sample, "--seed", o->seed, "one seed is one text");
  add_model_tokenizer(sample, o->tokenizer);
  add_device(sample, o->device);
  add_dtype(sample, o->dtype);
  add_quantize(sample, o->quantize);
  add_common_options(sample, common);
}

}  // namespace

void add_model_commands(CLI::App& app, CommonOptions& common, Action& action) {
  CLI::App& eval = *app.add_subcommand("eval", "measure a model");
  eval.require_subcommand(1);
  add_eval_loss(eval, common, action);
  add_eval_task_commands(eval, common, action);
  add_sample(app, common, action);
}

}  // namespace nanochat::cli
