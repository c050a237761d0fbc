#include "train/base.h"

#include <algorithm>
#include <chrono>
#include <memory>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <sys/resource.h>

#include "core/error.h"
#include "core/file.h"
#include "core/log.h"
#include "core/parallel.h"
#include "core/progress.h"
#include "data/split.h"
#include "data/token_loader.h"
#include "engine/generate.h"
#include "eval/bits_per_byte.h"
#include "optim/classic.h"
#include "optim/schedules.h"
#include "tokenizer/formats.h"
#include "train/checkpoint.h"
#include "train/loader_source.h"
#include "train/metrics.h"
#include "train/peak.h"
#include "train/run_folder.h"
#include "train/settings.h"
#include "train/trace.h"
#include "train/trainer.h"

namespace nanochat {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;
using Clock = std::chrono::steady_clock;

constexpr int64_t kSampleTokens = 16;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

int64_t peak_memory_bytes() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return int64_t{usage.ru_maxrss} * 1024;
}

std::string one_line(std::string text) {
  std::ranges::replace_if(
      text, [](char c) { return c == '\n' || c == '\r'; }, ' ');
  return text;
}

/// "12 files, a.jsonl ... l.jsonl", or "a part of a.jsonl".
std::string names_of(const std::vector<DataPart>& parts) {
  const std::string first = parts.front().file.string();
  if (parts.size() == 1) return (parts.front().is_whole() ? "" : "a part of ") + first;
  return fmt::format("{} files, {} ... {}", parts.size(), first,
                     parts.back().file.filename().string());
}

/// The checkpoint to go on from, if any. Throws UsageError and NotFoundError as BaseRun::resume
/// says.
std::optional<int64_t> step_to_resume(const BaseRun& run) {
  const std::vector<int64_t> steps = list_checkpoints(run.folder);
  if (run.resume.empty()) {
    if (steps.empty() || run.overwrite) return std::nullopt;
    throw UsageError(
        "run {} has been trained to step {} already: --resume latest goes on with it, --run NAME "
        "begins another, --overwrite deletes it ({})",
        run.name, steps.back(), run.folder.string());
  }
  if (run.overwrite) throw UsageError("--overwrite and --resume: choose one of them");
  if (run.resume == "latest") {
    if (steps.empty()) return std::nullopt;
    return steps.back();
  }
  for (const int64_t step : steps) {
    if (std::to_string(step) == run.resume) return step;
  }
  throw NotFoundError("run {} has no checkpoint of step {}: there is {} ({})", run.name, run.resume,
                      steps.empty() ? "none" : fmt::format("{}", fmt::join(steps, ", ")),
                      run.folder.string());
}

/// Refuses to go on with another model or optimizer, and says what else will differ.
void compare_settings(const BaseTrainConfig& config, const Checkpoint& checkpoint) {
  const std::string where = (checkpoint.folder() / "state.json").string();
  const auto saved = checkpoint.state().find("settings");
  if (saved == checkpoint.state().end()) {
    throw DataError("{}: it was not made by train base: another stage's run cannot be resumed here",
                    where);
  }
  for (const SettingDifference& d : differences(config_from_json(*saved, where), config)) {
    if (d.info.on_resume == OnResume::kMustMatch) {
      throw UsageError(
          "--{} is {}, the run was begun with {}: resume it with that, or begin another (--run "
          "NAME)",
          d.info.name, d.now, d.before);
    }
    if (d.info.on_resume == OnResume::kWarn) {
      log_warning(
          "--{} is {}, the run was begun with {}: its curve will not be that of a run that "
          "was never stopped",
          d.info.name, d.now, d.before);
    }
  }
}

/// One pretraining run, from settings to result.
class BaseTraining {
 public:
  BaseTraining(const BaseTrainConfig& config, const Tokenizer& tokenizer, const BaseRun& run);
  [[nodiscard]] BaseResult go();

 private:
  [[nodiscard]] TokenLoaderOptions loader_options(bool endless) const;
  [[nodiscard]] LoaderState restore();
  void describe() const;
  [[nodiscard]] TrainerOptions trainer_options();
  void evaluate(int64_t step);
  void sample(int64_t step);
  void save(int64_t step);
  void log_step(const StepStats& stats);
  [[nodiscard]] std::string last_good() const;
  void delete_earlier_run();

  const BaseTrainConfig& config_;
  const Tokenizer& tokenizer_;
  const BaseRun& run_;
  const Clock::time_point start_ = Clock::now();

  Backend& cpu_;
  std::optional<StepProfiler> profiler_;
  Backend* backend_;  // the CPU's, perhaps by way of the profiler
  RunFolder folder_;
  std::optional<Checkpoint> checkpoint_;
  DocumentSourceOptions documents_;
  DataSplit split_;
  DType dtype_ = DType::kF32;
  std::vector<int32_t> token_bytes_;
  GptConfig model_config_;
  int64_t micro_batches_ = 0, num_iterations_ = 0;
  double peak_flops_ = 0;

  Arena memory_;
  std::unique_ptr<Gpt> model_;
  std::unique_ptr<ClassicOptimizer> optimizer_;
  std::unique_ptr<LoaderSource> source_;
  std::unique_ptr<Trainer> trainer_;
  std::unique_ptr<MetricsWriter> metrics_;
  std::unique_ptr<Progress> progress_;
  LoopState loop_;
  BaseResult result_;
};

BaseTraining::BaseTraining(const BaseTrainConfig& config, const Tokenizer& tokenizer,
                           const BaseRun& run)
    : config_(config),
      tokenizer_(tokenizer),
      run_(run),
      cpu_(cpu_backend()),
      folder_(run.folder),
      documents_{.text_field = config.text_field,
                 .skip_bad_shards = config.skip_bad_shards,
                 .txt_separator = config.txt_separator},
      split_(split_data(config.data, config.val_data, documents_)),
      token_bytes_(token_byte_counts(tokenizer)),
      model_config_(
          GptConfig::from_depth(config.depth, tokenizer.vocab_size(), config.sequence_len)) {
  if (config.device != "auto" && config.device != "cpu") {
    throw DeviceError("--device {}: this build has no such backend: use cpu", config.device);
  }
  model_config_.validate();
  micro_batches_ =
      grad_accum_steps(config.total_batch_size, config.device_batch_size, config.sequence_len, 1);
  num_iterations_ = classic_num_iterations(
      {.num_iterations = config.num_iterations,
       .target_flops = config.target_flops,
       .target_param_data_ratio = config.target_param_data_ratio},
      model_config_.num_params(), model_config_.flops_per_token(), config.total_batch_size);
  const std::optional<int64_t> resume = step_to_resume(run);
  if (resume) {
    checkpoint_.emplace(run.folder / checkpoint_name(*resume));
    compare_settings(config, *checkpoint_);
  }
  dtype_ = dtype_named(config.dtype, cpu_);
  backend_ = &cpu_;
  if (run.profile_steps > 0) {
    profiler_.emplace(cpu_, run.folder / "trace.json",
                      StepProfiler::Options{.n_steps = run.profile_steps});
    backend_ = &profiler_->backend();
  }
  model_ = std::make_unique<Gpt>(
      model_config_, *backend_,
      GptOptions{.dtype = dtype_, .activation_checkpointing = config.activation_checkpointing});
  optimizer_ =
      std::make_unique<ClassicOptimizer>(*backend_, model_->parameters(),
                                         ClassicOptimConfig{.n_embd = model_config_.n_embd,
                                                            .unembedding_lr = config.unembedding_lr,
                                                            .embedding_lr = config.embedding_lr,
                                                            .matrix_lr = config.matrix_lr,
                                                            .weight_decay = config.weight_decay,
                                                            .grad_clip = config.grad_clip});
  std::optional<LoaderState> data;
  if (checkpoint_) {
    data = restore();
  } else {
    model_->init_weights(static_cast<uint64_t>(config.seed));
  }
  model_->refresh_compute_weights();
  source_ = std::make_unique<LoaderSource>(split_.train, tokenizer,
                                           loader_options(/*endless=*/true), micro_batches_, data);
  peak_flops_ = measured_peak_flops(cpu_, dtype_);
  trainer_ =
      std::make_unique<Trainer>(*model_, *optimizer_, *source_, memory_, trainer_options(), loop_);
  // Only now, when nothing is left that could refuse.
  if (run.overwrite) delete_earlier_run();
  metrics_ = std::make_unique<MetricsWriter>(
      folder_, checkpoint_ ? std::optional(checkpoint_->step()) : std::nullopt);
  write_file_atomically(run.folder / "config.toml", to_toml(config));
  save_vocabulary(tokenizer.vocabulary(), run.folder, TokenizerFormat::kOurs);
}

void BaseTraining::delete_earlier_run() {
  for (const int64_t step : list_checkpoints(run_.folder)) remove_checkpoint(folder_, step);
  const fs::path metrics = run_.folder / kMetricsFileName;
  std::error_code error;
  fs::remove(metrics, error);
  if (error) throw_errno("remove", metrics, error.value());
}

TokenLoaderOptions BaseTraining::loader_options(bool endless) const {
  return {.device_batch_size = config_.device_batch_size,
          .sequence_len = config_.sequence_len,
          .packing = config_.packing == "bestfit" ? Packing::kBestFit : Packing::kStream,
          .endless = endless,
          .documents = documents_};
}

TrainerOptions BaseTraining::trainer_options() {
  const auto event = [this](const char* name, int64_t every, bool at_start, auto member) {
    return TrainerEvent{
        .name = name, .every = every, .at_start = at_start, .run = [this, member](int64_t step) {
          (this->*member)(step);
        }};
  };
  TrainerOptions options{.num_iterations = num_iterations_,
                         .micro_batches = micro_batches_,
                         .tokens_per_step = config_.total_batch_size,
                         .flops_per_token = static_cast<double>(model_config_.flops_per_token()),
                         .peak_flops = peak_flops_,
                         .lr_multiplier =
                             [this](int64_t step) {
                               return classic_lr_multiplier(
                                   step, num_iterations_,
                                   {.warmup_ratio = config_.warmup_ratio,
                                    .warmdown_ratio = config_.warmdown_ratio,
                                    .final_lr_frac = config_.final_lr_frac});
                             },
                         .events = {},
                         .on_step = [this](const StepStats& stats) { log_step(stats); },
                         .interrupted = run_.interrupted,
                         .profiler = profiler_ ? &*profiler_ : nullptr};
  // In this order: what is measured before a step is part of the checkpoint of that step.
  options.events.push_back(
      event("evaluate", config_.eval_every, config_.eval_every > 0, &BaseTraining::evaluate));
  if (config_.sample_every != 0 && !config_.sample_prompts.empty()) {
    options.events.push_back(event("sample", config_.sample_every, false, &BaseTraining::sample));
  }
  options.events.push_back(event("save", config_.save_every, false, &BaseTraining::save));
  return options;
}

/// Takes weights, optimizer state and loop out of the checkpoint; returns the data cursor.
LoaderState BaseTraining::restore() {
  checkpoint_->load_model(*model_);
  checkpoint_->load_optimizer(*backend_, state_of(*optimizer_));
  const ordered_json& state = checkpoint_->state();
  const std::string where = (checkpoint_->folder() / "state.json").string();
  try {
    const ordered_json& loop = state.at("loop");
    loop_ = {.step = checkpoint_->step(),
             .smoothed = loop.at("smoothed"),
             .total_seconds = loop.at("total_seconds"),
             .wait_seconds = loop.at("wait_seconds")};
    result_.train_loss = loop.at("train_loss");
    if (!loop.at("val_bpb").is_null()) result_.val_bpb = loop.at("val_bpb").get<double>();
    if (!loop.at("min_val_bpb").is_null())
      result_.min_val_bpb = loop.at("min_val_bpb").get<double>();
    const ordered_json& machine = state.at("machine");
    if (machine.at("threads") != num_threads() || machine.at("dtype") != name_of(dtype_) ||
        machine.at("backend") != cpu_.description()) {
      log_warning(
          "the run was begun with {} threads in {} on {}, and goes on with {} in {} on {}: its "
          "curve may differ in the last digits",
          machine.at("threads").dump(), machine.at("dtype").get<std::string>(),
          machine.at("backend").get<std::string>(), num_threads(), name_of(dtype_),
          cpu_.description());
    }
    if (state.at("num_iterations") != num_iterations_) {
      log_warning("the run was begun for {} steps, and goes on for {}",
                  state.at("num_iterations").dump(), num_iterations_);
    }
  } catch (const nlohmann::json::exception& e) {
    throw DataError("{}: not the state of a pretraining run: {}", where, e.what());
  }
  if (loop_.step > num_iterations_) {
    throw UsageError(
        "the checkpoint is of step {}, after the {} steps of this run: give a longer run",
        loop_.step, num_iterations_);
  }
  return loader_state(state.at("data").dump(), checkpoint_->loader_tensors(), where);
}

void BaseTraining::describe() const {
  const int64_t tokens = num_iterations_ * config_.total_batch_size;
  log_info("depth {}: {} parameters, width {}, vocabulary {}; {} on {}, {} threads", config_.depth,
           grouped(model_config_.num_params()), model_config_.n_embd, model_config_.vocab_size,
           name_of(dtype_), cpu_.description(), num_threads());
  log_info(
      "{} steps of {} tokens in {} micro-batches: {} tokens, {:.3g} per parameter, {:.3g} FLOPs",
      grouped(num_iterations_), grouped(config_.total_batch_size), micro_batches_, grouped(tokens),
      static_cast<double>(tokens) / static_cast<double>(model_config_.num_params()),
      static_cast<double>(model_config_.flops_per_token()) * static_cast<double>(tokens));
  log_info("train: {}", names_of(split_.train));
  log_info("val:   {}", names_of(split_.val));
  if (checkpoint_) log_info("going on from {}", checkpoint_->folder().string());
}

void BaseTraining::evaluate(int64_t step) {
  LoaderSource source(split_.val, tokenizer_, loader_options(/*endless=*/false), 1);
  const int64_t tokens = config_.device_batch_size * config_.sequence_len;
  const int64_t most = std::max<int64_t>(1, config_.eval_tokens / tokens);
  const auto stop = [this] { return run_.interrupted && run_.interrupted(); };
  const BitsPerByte bpb = bits_per_byte(
      *model_, trainer_->tape(), [&](Batch& batch) { return !stop() && source.try_next(batch); },
      most, token_bytes_);
  if (stop()) return;  // half a measurement is none
  if (bpb.batches == 0) {
    throw DataError(
        "{}: fewer than the {} tokens of one batch: give more validation text (--val-data), or a "
        "smaller --device-batch-size or --sequence-len",
        names_of(split_.val), tokens + 1);
  }
  const double value = bpb.value();
  result_.val_bpb = value;
  result_.min_val_bpb = std::min(value, result_.min_val_bpb.value_or(value));
  log_info("step {:05} | validation: {:.4f} bits per byte ({} bytes)", step, value,
           grouped(bpb.bytes));
  metrics_->write(step, {{"val/bpb", value}, {"val/bytes", bpb.bytes}});
}

void BaseTraining::sample(int64_t step) {
  std::vector<std::vector<int32_t>> prompts;
  for (const std::string& prompt : config_.sample_prompts) {
    prompts.push_back({tokenizer_.bos_id()});
    tokenizer_.encode_to(prompt, prompts.back());
  }
  const auto rows = generate(*model_, prompts, {.max_new_tokens = kSampleTokens});
  ordered_json samples = ordered_json::array();
  for (size_t i = 0; i < rows.size(); ++i) {
    const std::string text = config_.sample_prompts[i] + tokenizer_.decode(rows[i]);
    log_info("step {:05} | {}", step, one_line(text));
    samples.push_back(text);
  }
  metrics_->write(step, {{"samples", samples}});
}

void BaseTraining::save(int64_t step) {
  if (checkpoint_ && checkpoint_->step() == step) {  // it is there
    result_.checkpoint = checkpoint_->folder();
    return;
  }
  const LoaderState data = source_->loader().state();
  const auto or_null = [](const std::optional<double>& x) {
    return x ? ordered_json(*x) : ordered_json();
  };
  const LoopState& loop = trainer_->state();
  const ordered_json state{
      {"stage", "base"},
      {"run", run_.name},
      {"command", run_.command_line},
      {"settings", to_json(config_)},
      {"num_iterations", num_iterations_},
      {"tokens", step * config_.total_batch_size},
      {"loop",
       {{"smoothed", loop.smoothed},
        {"total_seconds", loop.total_seconds},
        {"wait_seconds", loop.wait_seconds},
        {"train_loss", result_.train_loss},
        {"val_bpb", or_null(result_.val_bpb)},
        {"min_val_bpb", or_null(result_.min_val_bpb)}}},
      {"data", ordered_json::parse(data.position)},
      {"machine",
       {{"threads", num_threads()}, {"dtype", name_of(dtype_)}, {"backend", cpu_.description()}}},
  };
  result_.checkpoint =
      save_checkpoint(folder_, step, *model_, state_of(*optimizer_), state, tensors_of(data));
  prune_checkpoints(folder_, config_.keep);
  checkpoint_.reset();
  log_info("step {:05} | saved {}", step, result_.checkpoint.string());
}

void BaseTraining::log_step(const StepStats& stats) {
  result_.train_loss = stats.smooth_loss;
  metrics_->write(stats.step, {{"train/loss", stats.loss},
                               {"train/smooth_loss", stats.smooth_loss},
                               {"train/grad_norm", stats.grad_norm},
                               {"train/lrm", stats.lr_multiplier},
                               {"train/dt", stats.seconds},
                               {"train/tok_per_sec", stats.tokens_per_second},
                               {"train/mfu", stats.mfu},
                               {"train/wait", stats.wait_seconds}});
  progress_->update(
      stats.step + 1,
      fmt::format("loss {:.4f} (smooth {:.4f})  lr x{:.2f}  {} tokens/s  MFU {:.1f}%  {}",
                  stats.loss, stats.smooth_loss, stats.lr_multiplier,
                  format_count(stats.tokens_per_second), 100 * stats.mfu, source_->place()));
}
/// Where one can go back to when numbers went wrong.
std::string BaseTraining::last_good() const {
  const std::optional<int64_t> step = latest_checkpoint(run_.folder);
  if (!step) return "there is no checkpoint yet: lower the learning rates and begin again";
  return fmt::format("the last good checkpoint is {}: --resume {} with lower learning rates",
                     (run_.folder / checkpoint_name(*step)).string(), *step);
}

BaseResult BaseTraining::go() {
  describe();
  result_.num_iterations = num_iterations_;
  result_.num_params = model_config_.num_params();
  result_.flops_per_token = static_cast<double>(model_config_.flops_per_token());
  progress_ =
      std::make_unique<Progress>(Progress::Options{.label = "training",
                                                   .unit = "steps",
                                                   .total = num_iterations_,
                                                   .start = loop_.step,
                                                   .plain_every = std::chrono::seconds(10)});
  result_.start_seconds = seconds_since(start_);
  Trainer::End end;
  try {
    end = trainer_->run();
  } catch (const NumericError& e) {
    progress_->finish();
    throw NumericError("{}; {}", e.what(), last_good());
  }
  result_.step = trainer_->state().step;
  if (end == Trainer::End::kInterrupted) save(result_.step);
  progress_->finish();
  metrics_->sync();
  if (profiler_) {
    static_cast<void>(profiler_->finish());
    log_info("trace: {}", profiler_->file().string());
  }
  for (const std::string& reason : source_->loader().skipped()) log_warning("skipped: {}", reason);

  const LoopState& loop = trainer_->state();
  result_.total_tokens = result_.step * config_.total_batch_size;
  result_.seconds = loop.total_seconds;
  const int64_t timed_steps = result_.step - Trainer::kWarmSteps;
  if (timed_steps > 0 && loop.total_seconds > 0) {
    result_.tokens_per_second =
        static_cast<double>(timed_steps * config_.total_batch_size) / loop.total_seconds;
    result_.wait_frac = loop.wait_seconds / loop.total_seconds;
    result_.mfu = result_.tokens_per_second * result_.flops_per_token / peak_flops_;
  }
  result_.peak_memory_bytes = peak_memory_bytes();
  return result_;
}

}  // namespace

BaseResult train_base(const BaseTrainConfig& config, const Tokenizer& tokenizer,
                      const BaseRun& run) {
  return BaseTraining(config, tokenizer, run).go();
}

}  // namespace nanochat
