#include "train/stage.h"

#include <algorithm>
#include <map>
#include <utility>

#include <fmt/format.h>
#include <sys/resource.h>

#include "core/error.h"
#include "core/file.h"
#include "core/log.h"
#include "core/parallel.h"
#include "ops/devices.h"
#include "tokenizer/formats.h"
#include "train/peak.h"

namespace nanochat {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

int64_t peak_memory_bytes() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return int64_t{usage.ru_maxrss} * 1024;
}

/// A GPU needs many matrices side by side to be busy, and has the memory for them.
NewtonSchulzConfig newton_schulz_for(const Backend& backend) {
  NewtonSchulzConfig config;
  constexpr int64_t kGpuScratchBytes = int64_t{1} << 30;
  if (backend.device().kind == DeviceKind::kCuda) config.scratch_limit_bytes = kGpuScratchBytes;
  return config;
}

}  // namespace

std::string one_line(std::string text) {
  std::ranges::replace_if(
      text, [](char c) { return c == '\n' || c == '\r'; }, ' ');
  return text;
}

std::optional<int64_t> step_to_resume(const StageRun& run) {
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

Stage::Stage(std::string name, const StageRun& run, const CheckpointSettings& checkpoints,
             const MachineSettings& machine)
    : name_(std::move(name)),
      run_(run),
      checkpoints_(checkpoints),
      machine_(machine),
      device_backend_(backend_named(machine.device)),
      backend_(&device_backend_),
      folder_(run.folder),
      dtype_(dtype_named(machine.dtype, device_backend_)),
      memory_(device_backend_.reserve_addresses()) {
  if (const std::optional<int64_t> step = step_to_resume(run)) {
    checkpoint_.emplace(run.folder / checkpoint_name(*step));
    const std::string stage = checkpoint_->state().value("stage", std::string());
    if (stage != name_) {
      throw DataError("{}: it was not made by train {}: another stage's run cannot be resumed here",
                      state_path(), name_);
    }
  }
  if (run.profile_steps > 0) {
    profiler_.emplace(device_backend_, run.folder / "trace.json",
                      StepProfiler::Options{.n_steps = run.profile_steps});
    backend_ = &profiler_->backend();
  }
}

std::string Stage::state_path() const { return (checkpoint_->folder() / "state.json").string(); }

const ordered_json& Stage::saved(const char* key) const {
  const auto found = checkpoint_->state().find(key);
  if (found == checkpoint_->state().end()) {
    throw DataError("{}: not the state of a run of train {}: it has no '{}'", state_path(), name_,
                    key);
  }
  return *found;
}

void Stage::report(const std::vector<SettingDifference>& differences) const {
  for (const SettingDifference& d : differences) {
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

void Stage::make_model(const GptConfig& config, const OptimizerSettings& settings, double lr_frac,
                       std::function<double(int64_t)> muon_momentum) {
  model_ = std::make_unique<Gpt>(
      config, *backend_,
      GptOptions{.dtype = dtype_, .activation_checkpointing = machine_.activation_checkpointing});
  optimizer_ = std::make_unique<ClassicOptimizer>(
      *backend_, model_->parameters(),
      ClassicOptimConfig{.n_embd = config.n_embd,
                         .unembedding_lr = settings.unembedding_lr * lr_frac,
                         .embedding_lr = settings.embedding_lr * lr_frac,
                         .matrix_lr = settings.matrix_lr * lr_frac,
                         .weight_decay = settings.weight_decay,
                         .grad_clip = settings.grad_clip,
                         .newton_schulz = newton_schulz_for(device_backend_),
                         .muon_momentum = std::move(muon_momentum)},
      backend_->allocator());
  if (!checkpoint_) return;
  checkpoint_->load_model(*model_);
  checkpoint_->load_optimizer(*backend_, state_of(*optimizer_));
}

void Stage::make_model_from(const fs::path& source, const SourceSettings& from,
                            const OptimizerSettings& settings, const Tokenizer& tokenizer,
                            std::function<double(int64_t)> muon_momentum) {
  std::optional<Checkpoint> opened;
  if (!checkpoint_) {
    opened.emplace(source, from.load_optimizer ? CheckpointUse::kResume : CheckpointUse::kModel);
  }
  const Checkpoint& begin = checkpoint_ ? *checkpoint_ : *opened;
  if (begin.config().vocab_size != tokenizer.vocab_size()) {
    throw DataError("{} has {} tokens, the tokenizer {}: it was trained with another (--tokenizer)",
                    begin.folder().string(), begin.config().vocab_size, tokenizer.vocab_size());
  }
  make_model(begin.config(), settings, from.init_lr_frac, std::move(muon_momentum));
  if (!opened) return;
  opened->load_model(*model_);
  if (from.load_optimizer) load_momentum(*opened);
}

/// All of the optimizer's state but what the settings say: learning rates and weight decay, which
/// lie in it too.
void Stage::load_momentum(const Checkpoint& source) {
  if (!source.has_optimizer()) {
    log_warning("{}: holds no optimizer's state: its momentum begins at zero",
                source.folder().string());
    return;
  }
  class Reals final : public StateVisitor {
   public:
    void tensor(std::string_view /*name*/, Tensor& /*value*/) override {}
    void integer(std::string_view /*name*/, int64_t& /*value*/) override {}
    void real(std::string_view name, double& value) override {
      const auto [kept, is_first] = reals_.emplace(name, value);
      if (!is_first) value = kept->second;
    }

   private:
    std::map<std::string, double, std::less<>> reals_;
  } reals;
  optimizer_->visit_state(reals);  // takes note,
  source.load_optimizer(*backend_, state_of(*optimizer_));
  optimizer_->visit_state(reals);  // and puts back
}

void Stage::restore_loop(int64_t num_iterations) {
  const ordered_json& loop = saved("loop");
  try {
    loop_ = {.step = checkpoint_->step(),
             .smoothed = loop.at("smoothed"),
             .total_seconds = loop.at("total_seconds"),
             .wait_seconds = loop.at("wait_seconds"),
             .tokens = saved("tokens")};
    // Runs of before this was kept had steps of one size.
    const double timed =
        static_cast<double>(std::max<int64_t>(0, loop_.step - Trainer::kWarmSteps));
    const double per_step =
        static_cast<double>(loop_.tokens) / static_cast<double>(std::max<int64_t>(1, loop_.step));
    loop_.timed_tokens = loop.value("timed_tokens", static_cast<int64_t>(timed * per_step));
    result_.train_loss = loop.at("train_loss");
    for (const auto& [key, value] : loop.items()) {
      const bool is_ours = key == "smoothed" || key == "total_seconds" || key == "wait_seconds" ||
                           key == "train_loss" || key == "timed_tokens";
      if (!is_ours && !value.is_null()) result_.measures[key] = value;
    }
    const ordered_json& machine = saved("machine");
    if (machine.at("threads") != num_threads() || machine.at("dtype") != name_of(dtype_) ||
        machine.at("backend") != device_backend_.description()) {
      log_warning(
          "the run was begun with {} threads in {} on {}, and goes on with {} in {} on {}: its "
          "curve may differ in the last digits",
          machine.at("threads").dump(), machine.at("dtype").get<std::string>(),
          machine.at("backend").get<std::string>(), num_threads(), name_of(dtype_),
          device_backend_.description());
    }
    if (saved("num_iterations") != num_iterations) {
      log_warning("the run was begun for {} steps, and goes on for {}",
                  saved("num_iterations").dump(), num_iterations);
    }
  } catch (const nlohmann::json::exception& e) {
    throw DataError("{}: not the state of a run of train {}: {}", state_path(), name_, e.what());
  }
  if (loop_.step > num_iterations) {
    throw UsageError(
        "the checkpoint is of step {}, after the {} steps of this run: give a longer run",
        loop_.step, num_iterations);
  }
}

void Stage::start(Plan plan) {
  plan_ = std::move(plan);
  const int64_t N = plan_.num_iterations;
  if (checkpoint_) restore_loop(N);
  model_->refresh_compute_weights();
  peak_flops_ = peak_flops(device_backend_, dtype_);
  const LrScheduleConfig schedule{.warmup_ratio = plan_.schedule->warmup_ratio,
                                  .warmdown_ratio = plan_.schedule->warmdown_ratio,
                                  .final_lr_frac = plan_.schedule->final_lr_frac};
  TrainerOptions options{
      .num_iterations = N,
      .flops_per_token = static_cast<double>(model_->config().flops_per_token()),
      .peak_flops = peak_flops_,
      .lr_multiplier = [N, schedule](int64_t i) { return classic_lr_multiplier(i, N, schedule); },
      .events = std::move(plan_.events),
      .on_step = [this](const StepStats& stats) { log_step(stats); },
      .interrupted = run_.interrupted,
      .profiler = profiler_ ? &*profiler_ : nullptr};
  options.events.push_back(event("save", checkpoints_.save_every, false, &Stage::save));
  trainer_ = std::make_unique<Trainer>(*model_, *optimizer_, *plan_.source, memory_,
                                       std::move(options), loop_);
  if (run_.overwrite) delete_earlier_run();
  metrics_ = std::make_unique<MetricsWriter>(
      folder_, checkpoint_ ? std::optional(checkpoint_->step()) : std::nullopt);
  write_file_atomically(run_.folder / "config.toml", plan_.toml);
  save_vocabulary(plan_.tokenizer->vocabulary(), run_.folder, TokenizerFormat::kOurs);
}

void Stage::delete_earlier_run() {
  for (const int64_t step : list_checkpoints(run_.folder)) remove_checkpoint(folder_, step);
  const fs::path metrics = run_.folder / kMetricsFileName;
  std::error_code error;
  fs::remove(metrics, error);
  if (error) throw_errno("remove", metrics, error.value());
}

void Stage::describe_model() const {
  const GptConfig& config = model_->config();
  log_info("depth {}: {} parameters, width {}, vocabulary {}; {} on {}, {} threads", config.n_layer,
           grouped(config.num_params()), config.n_embd, config.vocab_size, name_of(dtype_),
           device_backend_.description(), num_threads());
}

void Stage::save(int64_t step) {
  if (checkpoint_ && checkpoint_->step() == step) {  // it is there
    result_.checkpoint = checkpoint_->folder();
    return;
  }
  const LoopState& loop = trainer_->state();
  ordered_json kept{{"smoothed", loop.smoothed},
                    {"total_seconds", loop.total_seconds},
                    {"wait_seconds", loop.wait_seconds},
                    {"timed_tokens", loop.timed_tokens},
                    {"train_loss", result_.train_loss}};
  kept.update(result_.measures);
  const ordered_json state{
      {"stage", name_},
      {"run", run_.name},
      {"command", run_.command_line},
      {"settings", plan_.settings},
      {"num_iterations", plan_.num_iterations},
      {"tokens", loop.tokens},
      {"loop", std::move(kept)},
      {"data", data_state()},
      {"machine",
       {{"threads", num_threads()},
        {"dtype", name_of(dtype_)},
        {"backend", device_backend_.description()}}},
  };
  result_.checkpoint =
      save_checkpoint(folder_, step, *model_, state_of(*optimizer_), state, data_tensors());
  prune_checkpoints(folder_, checkpoints_.keep);
  checkpoint_.reset();
  log_info("step {:05} | saved {}", step, result_.checkpoint.string());
}

void Stage::log_step(const StepStats& stats) {
  result_.train_loss = stats.smooth_loss;
  ordered_json record{{"train/loss", stats.loss},
                      {"train/smooth_loss", stats.smooth_loss},
                      {"train/grad_norm", stats.grad_norm},
                      {"train/lrm", stats.lr_multiplier},
                      {"train/dt", stats.seconds},
                      {"train/tokens", stats.tokens},
                      {"train/tok_per_sec", stats.tokens_per_second},
                      {"train/mfu", stats.mfu},
                      {"train/wait", stats.wait_seconds}};
  record.update(step_metrics(stats));
  metrics_->write(stats.step, record);
  progress_->update(
      stats.step + 1,
      fmt::format("loss {:.4f} (smooth {:.4f})  lr x{:.2f}  {} tokens/s  MFU {:.1f}%  {}",
                  stats.loss, stats.smooth_loss, stats.lr_multiplier,
                  format_count(stats.tokens_per_second), 100 * stats.mfu, plan_.source->place()));
}

/// Where one can go back to when numbers went wrong.
std::string Stage::last_good() const {
  const std::optional<int64_t> step = latest_checkpoint(run_.folder);
  if (!step) return "there is no checkpoint yet: lower the learning rates and begin again";
  return fmt::format("the last good checkpoint is {}: --resume {} with lower learning rates",
                     (run_.folder / checkpoint_name(*step)).string(), *step);
}

StageResult Stage::go() {
  describe();
  if (checkpoint_) log_info("going on from {}", checkpoint_->folder().string());
  progress_ =
      std::make_unique<Progress>(Progress::Options{.label = "training",
                                                   .unit = "steps",
                                                   .total = plan_.num_iterations,
                                                   .start = loop_.step,
                                                   .plain_every = std::chrono::seconds(10)});
  result_.start_seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  Trainer::End end;
  try {
    end = trainer_->run();
  } catch (const NumericError& e) {
    progress_->finish();
    throw NumericError("{}; {}", e.what(), last_good());
  }
  if (end == Trainer::End::kInterrupted) save(trainer_->state().step);
  finish();
  return result_;
}

void Stage::finish() {
  progress_->finish();
  metrics_->sync();
  if (profiler_) {
    static_cast<void>(profiler_->finish());
    log_info("trace: {}", profiler_->file().string());
  }
  sum_up();
  const LoopState& loop = trainer_->state();
  result_.num_iterations = plan_.num_iterations;
  result_.step = loop.step;
  result_.num_params = model_->config().num_params();
  result_.flops_per_token = static_cast<double>(model_->config().flops_per_token());
  result_.total_tokens = loop.tokens;
  result_.seconds = loop.total_seconds;
  if (loop.timed_tokens > 0 && loop.total_seconds > 0) {
    result_.tokens_per_second = static_cast<double>(loop.timed_tokens) / loop.total_seconds;
    result_.wait_frac = loop.wait_seconds / loop.total_seconds;
    result_.mfu = result_.tokens_per_second * result_.flops_per_token / peak_flops_;
  }
  result_.peak_memory_bytes = peak_memory_bytes();
}

}  // namespace nanochat
