#include "serve/metrics.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include <fmt/format.h>
#include <unistd.h>

#include "core/process_time.h"

namespace nanochat::serve {
namespace {

void head(std::string& out, std::string_view name, std::string_view type, std::string_view help) {
  fmt::format_to(std::back_inserter(out), "# HELP {0} {2}\n# TYPE {0} {1}\n", name, type, help);
}

template <typename T>
void one(std::string& out, std::string_view name, std::string_view type, std::string_view help,
         T value) {
  head(out, name, type, help);
  fmt::format_to(std::back_inserter(out), "{} {}\n", name, value);
}

/// Of the process, in bytes; 0 where the system does not tell.
int64_t resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  int64_t total = 0, resident = 0;
  if (!(statm >> total >> resident)) return 0;
  return resident * ::sysconf(_SC_PAGESIZE);
}

int64_t open_files() {
  std::error_code error;
  const std::filesystem::directory_iterator files("/proc/self/fd", error);
  return error ? 0 : std::distance(begin(files), end(files));
}

double seconds_since_1970() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

}  // namespace

void Histogram::observe(double value) noexcept {
  const auto bound = std::ranges::lower_bound(bounds_, value);
  ++counts_[static_cast<size_t>(bound - bounds_.begin())];
  sum_ += value;
}

void Histogram::write(std::string& out, std::string_view name, std::string_view labels) const {
  const std::string_view comma = labels.empty() ? "" : ",";
  int64_t count = 0;
  for (size_t i = 0; i < bounds_.size(); ++i) {
    count += counts_[i];
    fmt::format_to(std::back_inserter(out), "{}_bucket{{{}{}le=\"{}\"}} {}\n", name, labels, comma,
                   bounds_[i], count);
  }
  count += counts_.back();
  fmt::format_to(std::back_inserter(out), "{}_bucket{{{}{}le=\"+Inf\"}} {}\n", name, labels, comma,
                 count);
  const std::string braces = labels.empty() ? "" : fmt::format("{{{}}}", labels);
  fmt::format_to(std::back_inserter(out), "{0}_sum{1} {2}\n{0}_count{1} {3}\n", name, braces, sum_,
                 count);
}

void Metrics::count_request(std::string_view route, int status, double seconds) {
  ++requests_[{std::string(route), status}];
  auto found = durations_.find(route);
  if (found == durations_.end()) {
    found = durations_
                .emplace(std::string(route),
                         Histogram({0.001, 0.005, 0.025, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 300}))
                .first;
  }
  found->second.observe(seconds);
}

void Metrics::count_generation(std::string_view how_it_ended, int64_t n_tokens, double seconds) {
  ++generations_[std::string(how_it_ended)];
  if (n_tokens > 0) per_token_.observe(seconds / static_cast<double>(n_tokens));
}

std::string Metrics::text(const ConnectionStats& connections, const EngineStats* engine,
                          std::string_view version) const {
  std::string out;
  head(out, "nanochat_build_info", "gauge", "The program that answers.");
  fmt::format_to(std::back_inserter(out), "nanochat_build_info{{version=\"{}\"}} 1\n", version);
  head(out, "nanochat_http_requests_total", "counter",
       "Requests by route and status; status 0: the client went away before there was one.");
  for (const auto& [key, n] : requests_) {
    fmt::format_to(std::back_inserter(out),
                   "nanochat_http_requests_total{{route=\"{}\",status=\"{}\"}} {}\n", key.first,
                   key.second, n);
  }
  head(out, "nanochat_http_request_duration_seconds", "histogram",
       "From a request's head to the end of its answer.");
  for (const auto& [route, histogram] : durations_) {
    histogram.write(out, "nanochat_http_request_duration_seconds",
                    fmt::format("route=\"{}\"", route));
  }
  one(out, "nanochat_connections", "gauge", "Open connections.", connections.open);
  one(out, "nanochat_connections_total", "counter", "Connections ever made.", connections.accepted);
  one(out, "nanochat_connections_refused_total", "counter", "Connections beyond the most.",
      connections.refused);
  one(out, "nanochat_connections_timed_out_total", "counter",
      "Connections closed at a deadline, or for an answer not taken in.", connections.timed_out);
  head(out, "nanochat_generations_total", "counter", "Answers of the model by how they ended.");
  for (const auto& [how, n] : generations_) {
    fmt::format_to(std::back_inserter(out), "nanochat_generations_total{{end=\"{}\"}} {}\n", how,
                   n);
  }
  head(out, "nanochat_time_to_first_token_seconds", "histogram",
       "From a request's head to its first token.");
  first_token_.write(out, "nanochat_time_to_first_token_seconds", "");
  head(out, "nanochat_time_per_token_seconds", "histogram",
       "Of an answer, its mean between two tokens.");
  per_token_.write(out, "nanochat_time_per_token_seconds", "");
  if (engine != nullptr) {
    one(out, "nanochat_engine_running", "gauge", "Requests in a slot.", engine->running);
    one(out, "nanochat_engine_waiting", "gauge", "Requests that wait for a slot.", engine->waiting);
    one(out, "nanochat_engine_free_slots", "gauge", "Slots without a request.", engine->free_slots);
    one(out, "nanochat_engine_steps_total", "counter", "Forward passes.", engine->steps);
    one(out, "nanochat_prompt_tokens_total", "counter", "Tokens of prompts.",
        engine->prompt_tokens);
    one(out, "nanochat_reused_tokens_total", "counter", "Of these, found in the cache.",
        engine->reused_tokens);
    one(out, "nanochat_generated_tokens_total", "counter", "New tokens, results of tools included.",
        engine->new_tokens);
  }
  one(out, "process_resident_memory_bytes", "gauge", "Memory in use.", resident_bytes());
  one(out, "process_open_fds", "gauge", "Open files.", open_files());
  head(out, "process_start_time_seconds", "gauge", "When the process began, since 1970.");
  fmt::format_to(std::back_inserter(out), "process_start_time_seconds {:.2f}\n",
                 seconds_since_1970() - seconds_since_process_start());
  return out;
}

}  // namespace nanochat::serve
