#include "core/log.h"

#include <cerrno>
#include <cstdlib>

#include <sys/ioctl.h>
#include <unistd.h>

namespace nanochat {
namespace {

constexpr std::string_view kEraseLine = "\r\x1b[K";

int columns_of(int fd) {
  winsize size{};
  return ::ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

/// The longest start of UTF-8 `text` that fits into `columns`, control characters as spaces. From
/// U+1100 (Hangul) on every character counts as two columns wide: right for Chinese, Japanese and
/// Korean, and at worst a little short for others.
std::string fit(std::string_view text, int columns) {
  std::string line;
  int used = 0;
  for (size_t i = 0; i < text.size();) {
    const auto lead = static_cast<unsigned char>(text[i]);
    size_t length = 1;
    while (i + length < text.size() && (static_cast<unsigned char>(text[i + length]) >> 6) == 2) {
      ++length;
    }
    // Three bytes hold U+0800 and up; their lead bytes grow with the code point, E1 is U+1000.
    used += lead >= 0xe1 ? 2 : 1;
    if (used > columns) break;
    if (lead < 0x20 || lead == 0x7f) {
      line += ' ';
    } else {
      line.append(text.substr(i, length));
    }
    i += length;
  }
  return line;
}

}  // namespace

bool wants_colour(int fd) {
  const char* no_color = std::getenv("NO_COLOR");
  const char* term = std::getenv("TERM");
  return ::isatty(fd) == 1 && (no_color == nullptr || *no_color == '\0') &&
         (term == nullptr || std::string_view(term) != "dumb");
}

Console::Console(int fd) : fd_(fd) {
  options_.is_terminal = ::isatty(fd) == 1;
  options_.colour = wants_colour(fd);
}

void Console::print(LogLevel level, std::string_view text) {
  const std::lock_guard lock(mutex_);
  if (quiet_ && level == LogLevel::kInfo) return;
  std::string line;
  if (!status_.empty()) line += kEraseLine;
  const auto prefix = [&](std::string_view word, std::string_view colour) {
    if (options_.colour) line += colour;
    line += word;
    if (options_.colour) line += "\x1b[0m";
    line += ' ';
  };
  if (level == LogLevel::kWarning) prefix("warning:", "\x1b[33m");
  if (level == LogLevel::kError) prefix("error:", "\x1b[31m");
  line += text;
  line += '\n';
  line += status_;
  write(line);
}

void Console::show_status(std::string_view text) {
  const std::lock_guard lock(mutex_);
  if (!options_.is_terminal || quiet_) return;
  // One column stays free: a full line would wrap on some terminals.
  std::string line = fit(text, columns_of(fd_) - 1);
  if (line == status_) return;
  write(std::string(kEraseLine) + line);
  status_ = std::move(line);
}

void Console::set_quiet(bool quiet) {
  const std::lock_guard lock(mutex_);
  if (quiet && !status_.empty()) write(kEraseLine);
  if (quiet) status_.clear();
  quiet_ = quiet;
}

bool Console::quiet() const {
  const std::lock_guard lock(mutex_);
  return quiet_;
}

void Console::write(std::string_view bytes) const noexcept {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd_, bytes.data(), bytes.size());
    if (n < 0 && errno != EINTR) return;
    if (n > 0) bytes.remove_prefix(static_cast<size_t>(n));
  }
}

Console& console() {
  static Console stderr_console(STDERR_FILENO);
  return stderr_console;
}

}  // namespace nanochat
