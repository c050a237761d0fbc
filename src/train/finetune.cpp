#include "train/finetune.h"

#include <algorithm>
#include <memory>
#include <utility>

#include <fmt/format.h>

#include "core/error.h"
#include "core/log.h"
#include "engine/tools/calculator.h"
#include "eval/bits_per_byte.h"
#include "eval/chat_eval.h"
#include "train/conversation_source.h"
#include "train/rollouts.h"

namespace nanochat {
namespace {

using nlohmann::ordered_json;

constexpr int64_t kExamTokens = 512;  // of a written answer

ConversationPacking packing_named(const std::string& name) {
  if (name == "stream") return ConversationPacking::kStream;
  if (name == "bestfit") return ConversationPacking::kBestFit;
  NC_CHECK(name == "rows", "packing {}", name);
  return ConversationPacking::kRows;
}

class Finetuning final : public Stage {
 public:
  Finetuning(const std::string& stage, const FinetuneConfig& config, const FinetuneInput& input,
             const Tokenizer& tokenizer, const StageRun& run);

 private:
  [[nodiscard]] ConversationRowsOptions rows_options(int64_t epochs) const;
  [[nodiscard]] int64_t count_steps() const;
  [[nodiscard]] std::vector<TrainerEvent> events();
  void describe() const override;
  [[nodiscard]] ordered_json data_state() const override { return source_->rows().state(); }
  [[nodiscard]] ordered_json step_metrics(const StepStats& /*stats*/) override {
    return {{"train/supervised", source_->supervised()}};
  }
  void sum_up() const override;
  void evaluate(int64_t step);
  void examine(int64_t step);
  void sample(int64_t step);

  const FinetuneConfig& config_;
  const FinetuneInput& input_;
  const Tokenizer& tokenizer_;
  std::vector<int32_t> token_bytes_;
  int64_t sequence_len_ = 0, rows_per_step_ = 0, num_iterations_ = 0;
  std::unique_ptr<ConversationSource> source_;
};

Finetuning::Finetuning(const std::string& stage, const FinetuneConfig& config,
                       const FinetuneInput& input, const Tokenizer& tokenizer, const StageRun& run)
    : Stage(stage, run, config, config),
      config_(config),
      input_(input),
      tokenizer_(tokenizer),
      token_bytes_(token_byte_counts(tokenizer)) {
  const bool is_rows = config.packing == "rows";
  if (config.device_batch_size < 1) throw UsageError("--device-batch-size must be at least 1");
  if (is_rows && config.examples_per_step < 1) {
    throw UsageError("--examples-per-step must be at least 1");
  }
  compare(config);
  // Upstream's classic SFT leaves Muon's momentum where it ends; its other stages let it rise.
  make_model_from(input.source, config, config, tokenizer,
                  is_rows ? [](int64_t) { return 0.95; } : classic_muon_momentum);
  const GptConfig& model_config = model().config();
  sequence_len_ = config.sequence_len > 0 ? config.sequence_len : model_config.sequence_len;
  if (sequence_len_ > model_config.max_positions()) {
    throw UsageError("--sequence-len {}: the model knows {} positions", sequence_len_,
                     model_config.max_positions());
  }
  rows_per_step_ = is_rows ? config.examples_per_step
                           : config.device_batch_size * grad_accum_steps(config.total_batch_size,
                                                                         config.device_batch_size,
                                                                         sequence_len_, 1);
  num_iterations_ = config.num_iterations > 0 ? config.num_iterations : count_steps();
  source_ = std::make_unique<ConversationSource>(
      *input.train, tokenizer, rows_options(0), config.device_batch_size, rows_per_step_,
      is_resumed() ? saved("data") : ordered_json(), is_resumed() ? state_path() : "");
  start({.num_iterations = num_iterations_,
         .schedule = &config,
         .source = source_.get(),
         .tokenizer = &tokenizer,
         .events = events(),
         .settings = to_json(config),
         .toml = to_toml(config, "train." + stage)});
}

ConversationRowsOptions Finetuning::rows_options(int64_t epochs) const {
  return {.packing = packing_named(config_.packing),
          .sequence_len = sequence_len_,
          .all_tokens = config_.train_on == "all",
          .epochs = epochs};
}

int64_t Finetuning::count_steps() const {
  if (config_.num_epochs < 1) {
    throw UsageError("--num-epochs {}: at least 1, or say how long with --num-iterations",
                     config_.num_epochs);
  }
  const int64_t rows = count_rows(*input_.train, tokenizer_, rows_options(0), config_.num_epochs);
  if (rows < rows_per_step_) {
    throw UsageError(
        "{} conversations in {} epochs make {} rows, and a step needs {}: give more epochs, a "
        "smaller step (--examples-per-step, --total-batch-size), or --num-iterations",
        input_.train->size(), config_.num_epochs, rows, rows_per_step_);
  }
  return rows / rows_per_step_;
}

std::vector<TrainerEvent> Finetuning::events() {
  std::vector<TrainerEvent> list;
  if (input_.val) {
    list.push_back(
        event("evaluate", config_.eval_every, config_.eval_every > 0, &Finetuning::evaluate));
  }
  if (!input_.exams.empty() && config_.chat_eval_every != 0) {
    list.push_back(event("examine", config_.chat_eval_every, false, &Finetuning::examine));
  }
  if (config_.sample_every != 0 && !config_.sample_prompts.empty()) {
    list.push_back(event("sample", config_.sample_every, false, &Finetuning::sample));
  }
  return list;
}

void Finetuning::describe() const {
  describe_model();
  if (!is_resumed()) log_info("from {}", input_.source_name);
  log_info(
      "{} conversations of {}: {} steps of {} rows of up to {} tokens (packing {}), trained on {}",
      grouped(input_.train->size()), input_.train->name(), grouped(num_iterations_), rows_per_step_,
      sequence_len_, config_.packing,
      config_.train_on == "all" ? "every token" : "what the assistant says");
  if (input_.val)
    log_info("val: {} conversations of {}", grouped(input_.val->size()), input_.val->name());
}

void Finetuning::evaluate(int64_t step) {
  ConversationSource source(*input_.val, tokenizer_, rows_options(/*epochs=*/1),
                            config_.device_batch_size, 8 * config_.device_batch_size);
  const BitsPerByte bpb = bits_per_byte(
      model(), tape(),
      [&](Batch& batch) {
        return !is_interrupted() && source.tokens() < std::max<int64_t>(1, config_.eval_tokens) &&
               source.try_next(batch);
      },
      -1, token_bytes_);
  if (is_interrupted()) return;  // half a measurement is none
  if (bpb.bytes == 0) {
    throw DataError("{}: not one token to measure on: give more conversations (--val)",
                    input_.val->name());
  }
  const double value = bpb.value();
  log_info("step {:05} | validation: loss {:.4f}, {:.4f} bits per byte ({} tokens)", step,
           bpb.loss(), value, grouped(bpb.all_targets));
  metrics().write(step, {{"val/loss", bpb.loss()}, {"val/bpb", value}, {"val/bytes", bpb.bytes}});
  remember({{"val_loss", bpb.loss()},
            {"val_bpb", value},
            {"min_val_bpb", std::min(value, measures().value("min_val_bpb", value))}});
}

void Finetuning::examine(int64_t step) {
  InferenceCopy copy(model());
  copy.refresh();
  struct Stopped {};
  const auto on_step = [this] {
    if (is_interrupted()) throw Stopped();
  };
  ordered_json record, accuracies;
  for (const TaskPtr& task : input_.exams) {
    EvalScore score;
    try {
      score = evaluate_chat_task(
          copy.model(), tokenizer_, *task,
          {.max_problems = config_.chat_eval_problems,
           .max_new_tokens = std::min(kExamTokens, model().config().sequence_len / 2),
           .tool = calculate,
           .on_step = on_step});
    } catch (const Stopped&) {
      return;
    }
    const double accuracy = score.accuracy().value_or(0);
    log_info("step {:05} | {}: {} of {} right ({:.1f}%)", step, task->name(), score.correct,
             score.total, 100 * accuracy);
    record["chat/" + task->name()] = accuracies[task->name()] = accuracy;
  }
  metrics().write(step, record);
  remember({{"chat", accuracies}});
}

void Finetuning::sample(int64_t step) {
  InferenceCopy copy(model());
  const std::vector<std::string> answers =
      answer(copy.refresh(), tokenizer_, config_.sample_prompts, config_.sample_tokens);
  ordered_json samples = ordered_json::array();
  for (size_t i = 0; i < answers.size(); ++i) {
    const std::string& question = config_.sample_prompts[i];
    log_info("step {:05} | {} -> {}", step, one_line(question), one_line(answers[i]));
    samples.push_back({{"prompt", question}, {"answer", answers[i]}});
  }
  metrics().write(step, {{"samples", samples}});
}

void Finetuning::sum_up() const {
  if (const int64_t n = source_->rows().cropped(); n > 0) {
    log_warning(
        "{} conversations of {} were longer than a row and lost their end: a larger "
        "--sequence-len keeps it",
        grouped(n), grouped(source_->rows().taken()));
  }
}

}  // namespace

FinetuneConfig mid_defaults() {
  FinetuneConfig c;
  c.mixture = {"smoltalk:train", "mmlu:auxiliary_train",   "gsm8k:train",
               "identity*2",     "simple-spelling:200000", "spelling-bee:80000"};
  c.val = {"smoltalk:test", "mmlu:test:5200", "gsm8k:test:420"};
  c.packing = "stream";
  c.train_on = "all";
  c.device_batch_size = 32;
  c.grad_clip = 0;
  c.eval_every = 150;
  c.eval_tokens = 20 * 524288;
  return c;
}

FinetuneConfig sft_defaults() {
  FinetuneConfig c;
  c.mixture = {"arc-easy:train", "arc-challenge:train", "gsm8k:train",     "smoltalk:train:10000",
               "identity",       "simple-spelling:300", "spelling-bee:300"};
  c.val = {"smoltalk:test"};
  c.init_lr_frac = 0.02;
  c.warmdown_ratio = 1;
  c.grad_clip = 0;
  return c;
}

StageResult finetune(const std::string& stage, const FinetuneConfig& config,
                     const FinetuneInput& input, const Tokenizer& tokenizer, const StageRun& run) {
  return Finetuning(stage, config, input, tokenizer, run).go();
}

}  // namespace nanochat
