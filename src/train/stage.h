/// What every stage of training does around the loop: the machine, the run's folder, model and
/// optimizer, going on from a checkpoint, metrics, the progress line, saving, and what is said when
/// it stops. A stage (base.cpp, finetune.cpp, rl.cpp) adds its data and what it measures.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "core/progress.h"
#include "optim/schedules.h"
#include "tokenizer/tokenizer.h"
#include "train/checkpoint.h"
#include "train/metrics.h"
#include "train/settings.h"
#include "train/stage_settings.h"
#include "train/trainer.h"

namespace nanochat {

/// Where a run lives and how it starts.
struct StageRun {
  std::filesystem::path folder;  ///< checkpoints, metrics.jsonl, config.toml; made when missing
  std::string name;              ///< in messages
  /// "": from the beginning, refused when the folder has checkpoints; "latest": from the newest
  /// one, or the beginning when there is none; else a step.
  std::string resume;
  bool overwrite = false;  ///< delete the folder's checkpoints first
  int64_t profile_steps = 0;
  std::string command_line;           ///< kept in state.json
  std::function<bool()> interrupted;  ///< asked between steps; true: save and return
};

/// The checkpoint to go on from, if any. Throws UsageError and NotFoundError as StageRun::resume
/// says.
[[nodiscard]] std::optional<int64_t> step_to_resume(const StageRun& run);

struct StageResult {
  int64_t num_iterations = 0, step = 0;  ///< step < num_iterations: it was interrupted
  std::filesystem::path checkpoint;      ///< the newest
  int64_t num_params = 0;
  int64_t total_tokens = 0;  ///< trained on; padding does not count
  double flops_per_token = 0;
  double train_loss = 0;  ///< smoothed, of the last step
  /// What the stage measured last, by name: {"val_bpb": 1.1, "min_val_bpb": 1.0}.
  nlohmann::ordered_json measures = nlohmann::ordered_json::object();
  double seconds = 0;            ///< of training steps, the first ten left out
  double tokens_per_second = 0;  ///< over these
  double mfu = 0;
  double wait_frac = 0;      ///< share of step time in which the data was waited for
  double start_seconds = 0;  ///< from the call until training begins
  int64_t peak_memory_bytes = 0;
};

/// A run of a stage. The curve of one that was killed and resumed is that of one that was not, to
/// the bit, on the same machine with the same thread count and settings.
class Stage {
 public:
  virtual ~Stage() = default;
  Stage(const Stage&) = delete;
  Stage& operator=(const Stage&) = delete;

  /// Throws NumericError naming the last good checkpoint, and as data and checkpoints do.
  [[nodiscard]] StageResult go();

 protected:
  /// A constructor of a stage calls, in this order: this, compare(), make_model(), start(); between
  /// the last two it gives the model its weights, unless is_resumed().
  /// Takes the folder and opens the checkpoint to go on from. Throws DeviceError, as
  /// step_to_resume, RunFolder and Checkpoint, and DataError for another stage's checkpoint.
  /// All arguments outlive the object.
  Stage(std::string name, const StageRun& run, const CheckpointSettings& checkpoints,
        const MachineSettings& machine);

  /// Refuses (UsageError) to go on with another model or optimizer, and says what else will differ.
  template <typename Config>
  void compare(const Config& config) const {
    if (!checkpoint_) return;
    Config before;
    read_settings(saved("settings"), state_path(), before);
    report(differences(before, config));
  }
  /// Model and optimizer; when resumed, with what the checkpoint holds. `multiplier` of all
  /// learning rates.
  void make_model(const GptConfig& config, const OptimizerSettings& settings, double lr_frac = 1,
                  std::function<double(int64_t)> muon_momentum = classic_muon_momentum);

  /// The same for a stage that goes on from another's checkpoint, in the folder `source`: with its
  /// weights and, if asked for, the momentum of its optimizer; when resumed, the run's own, and
  /// `source` need not be there. Throws NotFoundError and DataError as Checkpoint, DataError for a
  /// tokenizer of another vocabulary.
  void make_model_from(const std::filesystem::path& source, const SourceSettings& from,
                       const OptimizerSettings& settings, const Tokenizer& tokenizer,
                       std::function<double(int64_t)> muon_momentum);

  struct Plan {
    int64_t num_iterations = 0;
    const OptimizerSettings* schedule = nullptr;  ///< warmup_ratio, warmdown_ratio, final_lr_frac
    BatchSource* source = nullptr;
    const Tokenizer* tokenizer = nullptr;  ///< kept with the run
    /// In this order, then the checkpoint: what is measured before a step is part of the checkpoint
    /// of that step.
    std::vector<TrainerEvent> events{};
    nlohmann::ordered_json settings{};
    std::string toml{};
  };
  /// Nothing of an earlier run is deleted before this: when all that could refuse has not.
  void start(Plan plan);

  // ---- what a stage says and remembers
  // -----------------------------------------------------------

  /// Says on the console what is going to be done.
  virtual void describe() const = 0;
  /// The data cursor as JSON, for state.json's "data"; and tensors that belong to it.
  [[nodiscard]] virtual nlohmann::ordered_json data_state() const = 0;
  [[nodiscard]] virtual std::vector<NamedTensor> data_tensors() const { return {}; }
  /// Beside the loop's own; keys as in metrics.jsonl.
  [[nodiscard]] virtual nlohmann::ordered_json step_metrics(const StepStats& /*stats*/) {
    return nlohmann::ordered_json::object();
  }
  /// Says at the end what was skipped, cropped, ...
  virtual void sum_up() const {}

  // ---- what a stage works with
  // -------------------------------------------------------------------

  [[nodiscard]] bool is_resumed() const noexcept { return checkpoint_.has_value(); }
  /// Of the checkpoint that is resumed, and of its state.json a member (DataError: it has none).
  [[nodiscard]] const Checkpoint& checkpoint() const { return *checkpoint_; }
  [[nodiscard]] const nlohmann::ordered_json& saved(const char* key) const;
  [[nodiscard]] std::string state_path() const;

  [[nodiscard]] Gpt& model() noexcept { return *model_; }
  [[nodiscard]] const Gpt& model() const noexcept { return *model_; }
  [[nodiscard]] ClassicOptimizer& optimizer() noexcept { return *optimizer_; }
  [[nodiscard]] Backend& backend() const noexcept { return *backend_; }
  [[nodiscard]] Tape& tape() noexcept { return trainer_->tape(); }
  [[nodiscard]] MetricsWriter& metrics() noexcept { return *metrics_; }
  [[nodiscard]] bool is_interrupted() const { return run_.interrupted && run_.interrupted(); }
  /// Among what the run has measured last (StageResult::measures); kept in checkpoints.
  void remember(const nlohmann::ordered_json& measures) { result_.measures.update(measures); }
  [[nodiscard]] const nlohmann::ordered_json& measures() const { return result_.measures; }
  /// "depth 4: 12,345 parameters, ...": of the model and the machine.
  void describe_model() const;
  /// f(step), as an event.
  template <typename S>
  [[nodiscard]] TrainerEvent event(const char* name, int64_t every, bool at_start,
                                   void (S::*member)(int64_t)) {
    return {
        .name = name, .every = every, .at_start = at_start, .run = [this, member](int64_t step) {
          (static_cast<S*>(this)->*member)(step);
        }};
  }

 private:
  void load_momentum(const Checkpoint& source);
  void report(const std::vector<SettingDifference>& differences) const;
  void restore_loop(int64_t num_iterations);
  void delete_earlier_run();
  void save(int64_t step);
  void log_step(const StepStats& stats);
  [[nodiscard]] std::string last_good() const;
  void finish();

  const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  const std::string name_;
  const StageRun& run_;
  const CheckpointSettings& checkpoints_;
  const MachineSettings& machine_;

  Backend& device_backend_;
  std::optional<StepProfiler> profiler_;
  Backend* backend_;  // the same, perhaps by way of the profiler
  RunFolder folder_;
  std::optional<Checkpoint> checkpoint_;  // until one is saved
  DType dtype_;
  double peak_flops_ = 0;

  Arena memory_;
  std::unique_ptr<Gpt> model_;
  std::unique_ptr<ClassicOptimizer> optimizer_;
  LoopState loop_;
  Plan plan_;
  std::unique_ptr<Trainer> trainer_;
  std::unique_ptr<MetricsWriter> metrics_;
  std::unique_ptr<Progress> progress_;
  StageResult result_;
};

/// "a b" of "a\nb": for a line of the log.
[[nodiscard]] std::string one_line(std::string text);

}  // namespace nanochat
