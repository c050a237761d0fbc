/// What the program says to the person who runs it, on stderr: lines, and one status line under
/// them. Results go to stdout and are no business of this file.
#pragma once

#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>

#include <fmt/core.h>

namespace nanochat {

enum class LogLevel : uint8_t { kInfo, kWarning, kError };

/// Whether escape codes for colours are welcome there: `fd` is a terminal, $NO_COLOR is not set
/// (no-color.org) and $TERM is not "dumb".
[[nodiscard]] bool wants_colour(int fd);

/// Where lines go. Each line is one write(), so lines of several threads or processes never mix; a
/// status line that is shown moves below. Failing writes are ignored: there is nobody to tell.
/// Thread-safe.
class Console {
 public:
  struct Options {
    bool is_terminal = false;  ///< whether a status line can be shown
    bool colour = false;
  };
  /// Asks the descriptor whether it is a terminal, and wants_colour(). `fd` stays the caller's.
  explicit Console(int fd);
  Console(int fd, Options options) : fd_(fd), options_(options) {}

  /// "warning: " and "error: " precede those levels. Line breaks inside `text` are kept.
  void print(LogLevel level, std::string_view text);
  /// Replaces the status line; empty erases it. Cut to the terminal's width; control characters
  /// become spaces. Nothing happens when this is no terminal.
  void show_status(std::string_view text);
  /// --quiet: from now on neither kInfo nor the status line.
  void set_quiet(bool quiet);

  [[nodiscard]] bool quiet() const;
  [[nodiscard]] bool is_terminal() const noexcept { return options_.is_terminal; }

 private:
  void write(std::string_view bytes) const noexcept;

  mutable std::mutex mutex_;
  int fd_;
  Options options_;
  bool quiet_ = false;
  std::string status_;  // as shown now
};

/// stderr.
[[nodiscard]] Console& console();

template <typename... Args>
void log_info(fmt::format_string<Args...> format, Args&&... args) {
  console().print(LogLevel::kInfo, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void log_warning(fmt::format_string<Args...> format, Args&&... args) {
  console().print(LogLevel::kWarning, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void log_error(fmt::format_string<Args...> format, Args&&... args) {
  console().print(LogLevel::kError, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace nanochat
