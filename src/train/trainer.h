/// The training loop. Pretraining, midtraining, finetuning and reinforcement learning all run this
/// one: they differ in the batches they give it and in what else happens between steps.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "core/arena.h"
#include "model/gpt.h"
#include "optim/classic.h"
#include "train/batch_source.h"
#include "train/trace.h"

namespace nanochat {

/// What is known after an optimizer step.
struct StepStats {
  int64_t step = 0;        ///< of the run, the first is 0
  int64_t tokens = 0;      ///< that the step trained on; padding does not count
  double loss = 0;         ///< what it minimised: the mean over these tokens, where it is that
  double smooth_loss = 0;  ///< its exponential average (0.9), without the bias of its start
  double grad_norm = 0;    ///< before clipping
  double lr_multiplier = 0;
  double seconds = 0;       ///< of this step
  double wait_seconds = 0;  ///< of these, waiting for data
  double tokens_per_second = 0;
  double mfu = 0;  ///< model FLOP/s as a share of TrainerOptions::peak_flops; 0: not known
};

/// What the loop itself must remember across a restart.
struct LoopState {
  int64_t step = 0;          ///< the next one to take
  double smoothed = 0;       ///< the average as it is kept: with the bias of its start
  double total_seconds = 0;  ///< of steps; the first ten are left out, as upstream
  double wait_seconds = 0;   ///< likewise
  int64_t tokens = 0;        ///< of all steps
  int64_t timed_tokens = 0;  ///< of the steps in total_seconds
};

/// Something that happens before step i, in the order of the list: an evaluation, samples, a
/// checkpoint.
struct TrainerEvent {
  std::string name;
  int64_t every = -1;     ///< before the steps that it divides; <= 0: none of them
  bool at_start = false;  ///< also before step 0
  bool at_end = true;     ///< also after the last step
  std::function<void(int64_t step)> run;
};

struct TrainerOptions {
  int64_t num_iterations = 0;
  double flops_per_token = 0;
  double peak_flops = 0;  ///< FLOP/s that count as MFU 1; 0: not known
  std::function<double(int64_t step)> lr_multiplier{};
  std::vector<TrainerEvent> events{};
  std::function<void(const StepStats&)> on_step{};
  /// Asked between steps; true: stop there.
  std::function<bool()> interrupted{};
  /// Told which part of a step runs; the model must run on its backend. May be null.
  StepProfiler* profiler = nullptr;
};

class Trainer {
 public:
  /// All four outlive the trainer. `memory` is where activations live.
  Trainer(Gpt& model, ClassicOptimizer& optimizer, BatchSource& source, Arena& memory,
          TrainerOptions options, const LoopState& state = {});

  /// The first steps create primitives and fill caches: they are not part of the times.
  static constexpr int64_t kWarmSteps = 10;

  enum class End : uint8_t { kFinished, kInterrupted };
  /// From state().step to num_iterations. Before each step, and after the last, its events. An
  /// interrupted run returns between two steps, its events of that place not yet run.
  /// Throws NumericError, before any weight has changed, when a loss or gradient is not finite.
  [[nodiscard]] End run();

  [[nodiscard]] const LoopState& state() const noexcept { return state_; }
  /// Inference between steps shares the memory of activations.
  [[nodiscard]] Tape& tape() noexcept { return tape_; }

 private:
  [[nodiscard]] StepStats step();
  void run_events();
  void begin_phase(std::string_view name);

  Gpt& model_;
  ClassicOptimizer& optimizer_;
  BatchSource& source_;
  TrainerOptions options_;
  LoopState state_;
  Tape tape_;
  Batch batch_;
  Tensor loss_sum_;  // [1] f64, on the device
};

}  // namespace nanochat
