/// Where a few training steps spend their time, as a Chrome trace: a JSON array of events, which
/// chrome://tracing and https://ui.perfetto.dev open.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "ops/profiling_backend.h"

namespace nanochat {

/// Complete events ("ph": "X") of one thread. What lies within another's time is drawn under it.
class Trace {
 public:
  using Clock = std::chrono::steady_clock;
  struct Event {
    std::string name;      ///< "matmul"
    std::string category;  ///< "operation"; a viewer filters by it
    Clock::time_point begin, end;
    std::string detail{};  ///< shown when the event is chosen; may be empty
  };

  void add(Event event) { events_.push_back(std::move(event)); }
  [[nodiscard]] const std::vector<Event>& events() const noexcept { return events_; }
  /// One line for each event, in the order of their begin; times in microseconds from the first.
  [[nodiscard]] std::string to_json() const;

 private:
  std::vector<Event> events_;
};

/// Records some steps of a training loop, each with its phases and their operations:
///
///   StepProfiler profiler(cpu_backend(), run / "trace.json", {.skip_steps = 2, .n_steps = 3});
///   Gpt model(config, profiler.backend());       // and the optimizer, and the tape
///   for (...) {
///     profiler.begin_step(step);
///     profiler.begin_phase("data");              // ends the phase before it
///     ...
///     profiler.end_step();                       // after the last one, the file is written
///   }
///
/// While it records, each operation is waited for. Not thread-safe.
class StepProfiler {
 public:
  struct Options {
    int64_t skip_steps = 2;  ///< the first ones make memory and primitives
    int64_t n_steps = 3;
  };
  StepProfiler(Backend& inner, std::filesystem::path file, Options options);
  StepProfiler(const StepProfiler&) = delete;
  StepProfiler& operator=(const StepProfiler&) = delete;

  [[nodiscard]] Backend& backend() noexcept { return backend_; }

  void begin_step(int64_t step);
  /// "data", "forward", "backward", "optimizer", "eval", ...
  void begin_phase(std::string_view name);
  /// Returns true when this was the last step and the file has been written. Throws as
  /// core/file.h.
  bool end_step();
  /// The loop ends: writes what there is, if fewer steps than wanted were recorded, and returns
  /// whether it did.
  bool finish();

  /// Within a step that is recorded.
  [[nodiscard]] bool recording() const noexcept { return recording_; }
  [[nodiscard]] const std::filesystem::path& file() const noexcept { return file_; }

 private:
  void end_phase(Trace::Clock::time_point now);

  std::filesystem::path file_;
  Options options_;
  ProfilingBackend backend_;
  Trace trace_;
  bool recording_ = false;
  int64_t n_seen_ = 0;  // steps
  int64_t step_ = 0;
  Trace::Clock::time_point step_begin_, phase_begin_;
  std::string phase_;  // empty: none
};

}  // namespace nanochat
