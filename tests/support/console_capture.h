/// A console whose output tests can read.
#pragma once

#include <cstdio>
#include <memory>
#include <string>
#include <string_view>

#include <gtest/gtest.h>
#include <unistd.h>

#include "core/log.h"

namespace nanochat::test {

class TemporaryFile {
 public:
  [[nodiscard]] int fd() const { return ::fileno(file_.get()); }

 private:
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  std::unique_ptr<std::FILE, Close> file_{std::tmpfile()};
};

/// Writes into an unnamed temporary file; believes that it is a terminal when told so.
class CapturedConsole : private TemporaryFile, public Console {
 public:
  explicit CapturedConsole(Options options) : Console(fd(), options) {}

  using TemporaryFile::fd;
  /// Everything written so far.
  [[nodiscard]] std::string text() const {
    std::string bytes(static_cast<size_t>(::lseek(fd(), 0, SEEK_CUR)), '\0');
    const ssize_t n = ::pread(fd(), bytes.data(), bytes.size(), 0);
    bytes.resize(n > 0 ? static_cast<size_t>(n) : 0);
    return bytes;
  }
};

/// What a person sees after a terminal has received `bytes`: it knows "\n", and "\r\x1b[K", which
/// erases the last line. Any other control character fails the test.
inline std::string seen_on_terminal(std::string_view bytes) {
  constexpr std::string_view kErase = "\r\x1b[K";
  std::string seen;
  while (!bytes.empty()) {
    if (bytes.starts_with(kErase)) {
      seen.erase(seen.rfind('\n') + 1);  // npos + 1 is the beginning
      bytes.remove_prefix(kErase.size());
      continue;
    }
    const auto c = static_cast<unsigned char>(bytes.front());
    if (c != '\n' && (c < 0x20 || c == 0x7f)) ADD_FAILURE() << "control character " << int{c};
    seen += bytes.front();
    bytes.remove_prefix(1);
  }
  return seen;
}

}  // namespace nanochat::test
