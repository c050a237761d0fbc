/// How far along a long piece of work is, on the console's status line.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "core/log.h"

namespace nanochat {

/// "tokens 1.2M/5.0M (24%)  81.3k tokens/s  ETA 0:47  loss 3.21"
///
/// Redrawn at most ten times a second, erased at the end; without a terminal it says nothing,
/// unless plain_every asks for a line of the log now and then. One thread at a time; other threads
/// may log meanwhile.
class Progress {
 public:
  using Clock = std::chrono::steady_clock;

  struct Options {
    std::string label;
    std::string unit = "steps";  ///< in the plural, for the rate
    int64_t total = 0;           ///< 0: not known; then neither percentage nor ETA
    int64_t start = 0;           ///< done already, by an earlier process: not counted in the rate
    std::chrono::seconds plain_every{0};
    Console* console = nullptr;                ///< null: stderr's
    std::function<Clock::time_point()> now{};  ///< null: the steady clock
  };

  explicit Progress(Options options);
  ~Progress() { finish(); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// `done` in all so far. `suffix` stays until the next one that is not empty.
  void update(int64_t done, std::string_view suffix = {});
  /// For totals that become known on the way.
  void set_total(int64_t total) { options_.total = total; }
  /// Erases the line. Nothing is drawn afterwards.
  void finish();

  /// Units per second lately: an average whose weights fall by e in 15 seconds. 0 at the start.
  [[nodiscard]] double rate() const noexcept { return weight_ > 0 ? weighted_rate_ / weight_ : 0; }

 private:
  void draw(Clock::time_point now);
  [[nodiscard]] std::string line() const;

  Options options_;
  Console& console_;
  int64_t done_;
  std::string suffix_;
  bool finished_ = false;
  bool drawn_ = false;
  Clock::time_point last_draw_;
  Clock::time_point last_plain_;
  Clock::time_point last_sample_;
  int64_t last_sample_done_;
  double weighted_rate_ = 0, weight_ = 0;
};

/// 999 -> "999", 12345 -> "12.3k", 5000000 -> "5.0M".
[[nodiscard]] std::string format_count(double value);
/// 1234567 -> "1,234,567". n >= 0.
[[nodiscard]] std::string grouped(int64_t n);
/// "1.2 GiB", "34 MiB".
[[nodiscard]] std::string binary_size(double bytes);
/// 47 s -> "0:47", 3661 s -> "1:01:01".
[[nodiscard]] std::string format_duration(std::chrono::seconds duration);

}  // namespace nanochat
