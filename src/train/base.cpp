#include "train/base.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "core/error.h"
#include "core/log.h"
#include "data/split.h"
#include "data/token_loader.h"
#include "engine/generate.h"
#include "eval/bits_per_byte.h"
#include "eval/core.h"
#include "eval/core_tasks.h"
#include "train/loader_source.h"

namespace nanochat {
namespace {

using nlohmann::ordered_json;

constexpr int64_t kSampleTokens = 16;

/// "12 files, a.jsonl ... l.jsonl", or "a part of a.jsonl".
std::string names_of(const std::vector<DataPart>& parts) {
  const std::string first = parts.front().file.string();
  if (parts.size() == 1) return (parts.front().is_whole() ? "" : "a part of ") + first;
  return fmt::format("{} files, {} ... {}", parts.size(), first,
                     parts.back().file.filename().string());
}

class BaseTraining final : public Stage {
 public:
  BaseTraining(const BaseTrainConfig& config, const Tokenizer& tokenizer, const StageRun& run);

 private:
  [[nodiscard]] TokenLoaderOptions loader_options(bool endless) const;
  void describe() const override;
  [[nodiscard]] ordered_json data_state() const override {
    return ordered_json::parse(source_->loader().state().position);
  }
  [[nodiscard]] std::vector<NamedTensor> data_tensors() const override {
    return tensors_of(source_->loader().state());
  }
  void sum_up() const override {
    for (const std::string& reason : source_->loader().skipped())
      log_warning("skipped: {}", reason);
  }
  void evaluate(int64_t step);
  void core_metric(int64_t step);
  void sample(int64_t step);

  const BaseTrainConfig& config_;
  const Tokenizer& tokenizer_;
  DocumentSourceOptions documents_;
  DataSplit split_;
  std::vector<int32_t> token_bytes_;
  int64_t micro_batches_ = 0, num_iterations_ = 0;
  std::vector<CoreTask> core_tasks_;
  std::unique_ptr<LoaderSource> source_;
};

BaseTraining::BaseTraining(const BaseTrainConfig& config, const Tokenizer& tokenizer,
                           const StageRun& run)
    : Stage("base", run, config, config),
      config_(config),
      tokenizer_(tokenizer),
      documents_{.text_field = config.text_field,
                 .skip_bad_shards = config.skip_bad_shards,
                 .txt_separator = config.txt_separator},
      split_(split_data(config.data, config.val_data, documents_)),
      token_bytes_(token_byte_counts(tokenizer)) {
  const GptConfig model_config =
      GptConfig::from_depth(config.depth, tokenizer.vocab_size(), config.sequence_len);
  model_config.validate();
  micro_batches_ =
      grad_accum_steps(config.total_batch_size, config.device_batch_size, config.sequence_len, 1);
  num_iterations_ = classic_num_iterations(
      {.num_iterations = config.num_iterations,
       .target_flops = config.target_flops,
       .target_param_data_ratio = config.target_param_data_ratio},
      model_config.num_params(), model_config.flops_per_token(), config.total_batch_size);
  compare(config);
  make_model(model_config, config);
  std::optional<LoaderState> data;
  if (is_resumed()) {
    data = loader_state(saved("data").dump(), checkpoint().loader_tensors(), state_path());
  } else {
    model().init_weights(static_cast<uint64_t>(config.seed));
  }
  source_ = std::make_unique<LoaderSource>(split_.train, tokenizer,
                                           loader_options(/*endless=*/true), micro_batches_, data);
  std::vector<TrainerEvent> events{
      event("evaluate", config.eval_every, config.eval_every > 0, &BaseTraining::evaluate)};
  if (config.core_metric_every != 0 && !config.core_bundle.empty()) {
    core_tasks_ = read_core_tasks(config.core_bundle);
    events.push_back(event("core", config.core_metric_every, false, &BaseTraining::core_metric));
  }
  if (config.sample_every != 0 && !config.sample_prompts.empty()) {
    events.push_back(event("sample", config.sample_every, false, &BaseTraining::sample));
  }
  start({.num_iterations = num_iterations_,
         .schedule = &config,
         .source = source_.get(),
         .tokenizer = &tokenizer,
         .events = std::move(events),
         .settings = to_json(config),
         .toml = to_toml(config, "train.base")});
}

TokenLoaderOptions BaseTraining::loader_options(bool endless) const {
  return {.device_batch_size = config_.device_batch_size,
          .sequence_len = config_.sequence_len,
          .packing = config_.packing == "bestfit" ? Packing::kBestFit : Packing::kStream,
          .endless = endless,
          .documents = documents_};
}

void BaseTraining::describe() const {
  describe_model();
  const GptConfig& config = model().config();
  const int64_t tokens = num_iterations_ * config_.total_batch_size;
  log_info(
      "{} steps of {} tokens in {} micro-batches: {} tokens, {:.3g} per parameter, {:.3g} FLOPs",
      grouped(num_iterations_), grouped(config_.total_batch_size), micro_batches_, grouped(tokens),
      static_cast<double>(tokens) / static_cast<double>(config.num_params()),
      static_cast<double>(config.flops_per_token()) * static_cast<double>(tokens));
  log_info("train: {}", names_of(split_.train));
  log_info("val:   {}", names_of(split_.val));
}

void BaseTraining::evaluate(int64_t step) {
  LoaderSource source(split_.val, tokenizer_, loader_options(/*endless=*/false), 1);
  const int64_t tokens = config_.device_batch_size * config_.sequence_len;
  const int64_t most = std::max<int64_t>(1, config_.eval_tokens / tokens);
  const BitsPerByte bpb = bits_per_byte(
      model(), tape(), [&](Batch& batch) { return !is_interrupted() && source.try_next(batch); },
      most, token_bytes_);
  if (is_interrupted()) return;  // half a measurement is none
  if (bpb.batches == 0) {
    throw DataError(
        "{}: fewer than the {} tokens of one batch: give more validation text (--val-data), or a "
        "smaller --device-batch-size or --sequence-len",
        names_of(split_.val), tokens + 1);
  }
  const double value = bpb.value();
  log_info("step {:05} | validation: {:.4f} bits per byte ({} bytes)", step, value,
           grouped(bpb.bytes));
  metrics().write(step, {{"val/bpb", value}, {"val/bytes", bpb.bytes}});
  remember({{"val_bpb", value},
            {"min_val_bpb", std::min(value, measures().value("min_val_bpb", value))}});
}

void BaseTraining::core_metric(int64_t step) {
  struct Interrupted {};
  CoreOptions options{.max_per_task = config_.core_metric_max_per_task};
  options.on_progress = [this](const CoreProgress& /*progress*/) {
    if (is_interrupted()) throw Interrupted();
  };
  CoreResult result;
  try {
    result = evaluate_core(model(), tokenizer_, core_tasks_, options);
  } catch (const Interrupted&) {
    return;  // half a measurement is none
  }
  const std::optional<double> metric = result.metric();
  if (!metric) {
    return log_warning("step {:05} | no file of CORE's tasks is in {}", step, config_.core_bundle);
  }
  log_info("step {:05} | CORE {:.4f} over {} tasks", step, *metric, result.tasks.size());
  metrics().write(step, {{"core_metric", *metric}, {"core_tasks", result.tasks.size()}});
  remember({{"core_metric", *metric}});
}

void BaseTraining::sample(int64_t step) {
  std::vector<std::vector<int32_t>> prompts;
  for (const std::string& prompt : config_.sample_prompts) {
    prompts.push_back({tokenizer_.bos_id()});
    tokenizer_.encode_to(prompt, prompts.back());
  }
  const auto rows = generate(model(), prompts, {.max_new_tokens = kSampleTokens});
  ordered_json samples = ordered_json::array();
  for (size_t i = 0; i < rows.size(); ++i) {
    const std::string text = config_.sample_prompts[i] + tokenizer_.decode(rows[i]);
    log_info("step {:05} | {}", step, one_line(text));
    samples.push_back(text);
  }
  metrics().write(step, {{"samples", samples}});
}

}  // namespace

StageResult train_base(const BaseTrainConfig& config, const Tokenizer& tokenizer,
                       const StageRun& run) {
  return BaseTraining(config, tokenizer, run).go();
}

}  // namespace nanochat
