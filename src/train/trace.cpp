#include "train/trace.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include "core/file.h"

namespace nanochat {
namespace {

double microseconds(Trace::Clock::duration d) {
  return std::chrono::duration<double, std::micro>(d).count();
}

std::string quoted(const std::string& text) { return nlohmann::json(text).dump(); }

}  // namespace

std::string Trace::to_json() const {
  std::vector<const Event*> sorted;
  for (const Event& event : events_) sorted.push_back(&event);
  std::ranges::stable_sort(sorted, [](const Event* a, const Event* b) {
    return a->begin != b->begin ? a->begin < b->begin : a->end > b->end;  // the outer one first
  });
  const int pid = ::getpid();
  std::string json = fmt::format(
      "[\n{{\"name\":\"process_name\",\"ph\":\"M\",\"pid\":{0},\"tid\":{0},\"args\":{{\"name\":"
      "\"nanochat\"}}}}",
      pid);
  for (const Event* const event : sorted) {
    const auto args = event->detail.empty()
                          ? std::string()
                          : fmt::format(",\"args\":{{\"detail\":{}}}", quoted(event->detail));
    json += fmt::format(
        ",\n{{\"name\":{},\"cat\":{},\"ph\":\"X\",\"pid\":{},\"tid\":{},\"ts\":{:.3f},\"dur\":{:."
        "3f}"
        "{}}}",
        quoted(event->name), quoted(event->category), pid, pid,
        microseconds(event->begin - sorted.front()->begin), microseconds(event->end - event->begin),
        args);
  }
  return json + "\n]\n";
}

StepProfiler::StepProfiler(Backend& inner, std::filesystem::path file, Options options)
    : file_(std::move(file)), options_(options), backend_(inner) {}

void StepProfiler::begin_step(int64_t step) {
  const int64_t first = options_.skip_steps;
  recording_ = n_seen_ >= first && n_seen_ < first + options_.n_steps;
  ++n_seen_;
  if (!recording_) return;
  backend_.set_listener([this](const ProfilingBackend::Operation& o) {
    trace_.add({.name = o.name,
                .category = "operation",
                .begin = o.begin,
                .end = o.end,
                .detail = fmt::format("{}", o.output)});
  });
  backend_.synchronize();
  step_ = step;
  step_begin_ = Trace::Clock::now();
}

void StepProfiler::begin_phase(std::string_view name) {
  if (!recording_) return;
  const auto now = Trace::Clock::now();
  end_phase(now);
  phase_ = name;
  phase_begin_ = now;
}

void StepProfiler::end_phase(Trace::Clock::time_point now) {
  if (phase_.empty()) return;
  trace_.add(
      {.name = std::exchange(phase_, ""), .category = "phase", .begin = phase_begin_, .end = now});
}

bool StepProfiler::end_step() {
  if (!recording_) return false;
  const auto now = Trace::Clock::now();
  end_phase(now);
  trace_.add({.name = fmt::format("step {}", step_),
              .category = "step",
              .begin = step_begin_,
              .end = now});
  recording_ = false;
  backend_.set_listener({});
  return n_seen_ >= options_.skip_steps + options_.n_steps && finish();
}

bool StepProfiler::finish() {
  if (trace_.events().empty()) return false;
  write_file_atomically(file_, trace_.to_json());
  trace_ = {};
  return true;
}

}  // namespace nanochat
