/// What the server counts, as Prometheus reads it.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/engine.h"
#include "serve/server.h"

namespace nanochat::serve {

/// Counts of values up to each bound.
class Histogram {
 public:
  explicit Histogram(std::vector<double> bounds)
      : bounds_(std::move(bounds)), counts_(bounds_.size() + 1) {}
  void observe(double value) noexcept;
  /// In Prometheus's text format (version 0.0.4). `labels`: 'route="/v1/models"', or empty.
  void write(std::string& out, std::string_view name, std::string_view labels) const;

 private:
  std::vector<double> bounds_;
  std::vector<int64_t> counts_;  // the last one: above all bounds
  double sum_ = 0;
};

/// Not thread-safe: the server's thread counts, and writes it out.
class Metrics {
 public:
  void count_request(std::string_view route, int status, double seconds);
  void count_first_token(double seconds) { first_token_.observe(seconds); }
  void count_generation(std::string_view how_it_ended, int64_t n_tokens, double seconds);

  /// All of it, with what others count; engine null: there is no model.
  [[nodiscard]] std::string text(const ConnectionStats& connections, const EngineStats* engine,
                                 std::string_view version) const;

 private:
  std::map<std::pair<std::string, int>, int64_t> requests_;
  std::map<std::string, Histogram, std::less<>> durations_;
  std::map<std::string, int64_t, std::less<>> generations_;
  Histogram first_token_{{0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60}};
  Histogram per_token_{{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1}};
};

}  // namespace nanochat::serve
