#include "train/trainer.h"

#include <chrono>
#include <cmath>
#include <utility>

#include "core/error.h"

namespace nanochat {
namespace {

using Clock = std::chrono::steady_clock;

constexpr double kSmoothing = 0.9;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

double on_host(Backend& backend, const Tensor& scalar) {
  Tensor host({1}, DType::kF64);
  backend.copy(scalar, host);
  backend.synchronize();
  return std::as_const(host).data<double>()[0];
}

}  // namespace

Trainer::Trainer(Gpt& model, ClassicOptimizer& optimizer, BatchSource& source, Arena& memory,
                 TrainerOptions options, const LoopState& state)
    : model_(model),
      optimizer_(optimizer),
      source_(source),
      options_(std::move(options)),
      state_(state),
      tape_(model.backend(), memory),
      loss_sum_({1}, DType::kF64, memory) {}

Trainer::End Trainer::run() {
  const auto stop = [&] { return options_.interrupted && options_.interrupted(); };
  while (true) {
    if (stop()) return End::kInterrupted;
    run_events();
    if (state_.step >= options_.num_iterations) return End::kFinished;
    if (stop()) return End::kInterrupted;  // an evaluation may have taken a while
    if (options_.profiler) options_.profiler->begin_step(state_.step);
    const StepStats stats = step();
    if (options_.profiler) static_cast<void>(options_.profiler->end_step());
    ++state_.step;
    if (options_.on_step) options_.on_step(stats);
  }
}

void Trainer::run_events() {
  const int64_t i = state_.step;
  const bool last = i >= options_.num_iterations;
  for (const TrainerEvent& event : options_.events) {
    const bool due = event.every > 0 && i % event.every == 0 && (i > 0 || event.at_start);
    if ((last && event.at_end) || (due && !last) || (i == 0 && event.at_start)) event.run(i);
  }
}

void Trainer::begin_phase(std::string_view name) {
  if (options_.profiler) options_.profiler->begin_phase(name);
}

StepStats Trainer::step() {
  StepStats stats{.step = state_.step, .lr_multiplier = options_.lr_multiplier(state_.step)};
  const Clock::time_point start = Clock::now();
  const double waited = source_.wait_seconds();
  const int64_t tokens_before = source_.tokens();
  Backend& backend = model_.backend();

  begin_phase("zero_grad");
  model_.zero_grad();
  backend.zero(loss_sum_);
  begin_phase("data");
  const int64_t micro_batches = source_.begin_step(stats.step);
  for (int64_t i = 0; i < micro_batches; ++i) {
    begin_phase("data");
    source_.next(batch_);
    const RecordingScope on(tape_, true);
    begin_phase("forward");
    {
      const LossResult loss = model_.loss(tape_, batch_);
      backend.axpby(1, loss.total, 1, loss_sum_);
    }
    begin_phase("backward");
    tape_.backward();
    tape_.clear();
  }
  stats.loss = on_host(backend, loss_sum_);
  if (!std::isfinite(stats.loss)) {
    throw NumericError("step {}: the loss is {}: no weight was changed; lower the learning rates",
                       stats.step, stats.loss);
  }
  begin_phase("optimizer");
  stats.grad_norm = optimizer_.step(stats.step, stats.lr_multiplier);
  begin_phase("refresh_weights");
  model_.refresh_compute_weights();
  backend.synchronize();

  stats.seconds = seconds_since(start);
  stats.wait_seconds = source_.wait_seconds() - waited;
  stats.tokens = source_.tokens() - tokens_before;
  state_.smoothed = kSmoothing * state_.smoothed + (1 - kSmoothing) * stats.loss;
  stats.smooth_loss =
      state_.smoothed / (1 - std::pow(kSmoothing, static_cast<double>(stats.step + 1)));
  stats.tokens_per_second = static_cast<double>(stats.tokens) / stats.seconds;
  if (options_.peak_flops > 0) {
    stats.mfu = stats.tokens_per_second * options_.flops_per_token / options_.peak_flops;
  }
  state_.tokens += stats.tokens;
  if (stats.step >= kWarmSteps) {
    state_.timed_tokens += stats.tokens;
    state_.total_seconds += stats.seconds;
    state_.wait_seconds += stats.wait_seconds;
  }
  return stats;
}

}  // namespace nanochat
