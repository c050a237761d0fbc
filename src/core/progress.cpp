#include "core/progress.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace nanochat {
namespace {

using namespace std::chrono_literals;

constexpr auto kRedrawEvery = 100ms;
constexpr double kRateMemorySeconds = 15;

double seconds(Progress::Clock::duration d) { return std::chrono::duration<double>(d).count(); }

/// Steps are read off exactly, tokens and bytes are not.
std::string exactly_if_short(int64_t n) {
  return n < 100'000 ? fmt::format("{}", n) : format_count(static_cast<double>(n));
}

}  // namespace

std::string format_count(double value) {
  constexpr std::array<char, 5> kPrefixes{'k', 'M', 'G', 'T', 'P'};
  if (value < 999.5) {
    return value == std::floor(value) || value >= 99.95 ? fmt::format("{:.0f}", value)
                                                        : fmt::format("{:.3g}", value);
  }
  size_t prefix = 0;
  value /= 1000;
  while (value >= 999.95 && prefix + 1 < kPrefixes.size()) {
    value /= 1000;
    ++prefix;
  }
  return fmt::format("{:.1f}{}", value, kPrefixes[prefix]);
}

std::string format_duration(std::chrono::seconds duration) {
  const int64_t s = std::max<int64_t>(duration.count(), 0);
  return s < 3600 ? fmt::format("{}:{:02}", s / 60, s % 60)
                  : fmt::format("{}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60);
}

Progress::Progress(Options options)
    : options_(std::move(options)),
      console_(options_.console ? *options_.console : console()),
      done_(options_.start),
      last_sample_done_(options_.start) {
  if (!options_.now) options_.now = Clock::now;
  last_plain_ = last_sample_ = options_.now();
}

void Progress::update(int64_t done, std::string_view suffix) {
  if (finished_) return;
  done_ = done;
  if (!suffix.empty()) suffix_ = suffix;
  const Clock::time_point now = options_.now();
  if (drawn_ && now - last_draw_ < kRedrawEvery) return;

  const double elapsed = seconds(now - last_sample_);
  if (elapsed > 0) {
    const double fresh = 1 - std::exp(-elapsed / kRateMemorySeconds);
    weighted_rate_ +=
        fresh * (static_cast<double>(done_ - last_sample_done_) / elapsed - weighted_rate_);
    weight_ += fresh * (1 - weight_);
    last_sample_ = now;
    last_sample_done_ = done_;
  }
  draw(now);
}

void Progress::draw(Clock::time_point now) {
  drawn_ = true;
  last_draw_ = now;
  if (console_.is_terminal()) {
    console_.show_status(line());
  } else if (options_.plain_every > 0s && now - last_plain_ >= options_.plain_every) {
    last_plain_ = now;
    console_.print(LogLevel::kInfo, line());
  }
}

std::string Progress::line() const {
  std::string text = options_.label;
  if (!text.empty()) text += ' ';
  text += exactly_if_short(done_);
  if (options_.total > 0) {
    text +=
        fmt::format("/{} ({}%)", exactly_if_short(options_.total), 100 * done_ / options_.total);
  }
  if (rate() > 0) {
    text += fmt::format("  {} {}/s", format_count(rate()), options_.unit);
    if (options_.total > done_) {
      // Far too slow to finish is not worth a number that would overflow.
      const double left = std::min(static_cast<double>(options_.total - done_) / rate(), 1e8);
      text += fmt::format("  ETA {}", format_duration(std::chrono::seconds(std::llround(left))));
    }
  }
  if (!suffix_.empty()) text += "  " + suffix_;
  return text;
}

void Progress::finish() {
  if (finished_) return;
  finished_ = true;
  if (drawn_) console_.show_status("");
}

std::string binary_size(double bytes) {
  constexpr const char* kUnits[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  double n = bytes / 1024;
  size_t unit = 0;
  while (n >= 1023.5 && unit + 1 < std::size(kUnits)) {
    n /= 1024;
    ++unit;
  }
  return fmt::format("{:.{}f} {}", n, unit >= 2 && n < 99.95 ? 1 : 0, kUnits[unit]);
}

std::string grouped(int64_t n) {
  std::string digits = std::to_string(n);
  for (size_t i = digits.size(); i > 3; i -= 3) digits.insert(i - 3, 1, ',');
  return digits;
}

}  // namespace nanochat
