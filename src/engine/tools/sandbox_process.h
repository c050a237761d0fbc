/// The process of a sandbox as its host sees it: descriptors, what comes out, and its end.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <sys/types.h>
#include <unistd.h>

namespace nanochat::sandbox {

/// Throws IoError: "sandbox: cannot ...".
[[noreturn]] void fail(std::string_view what, int error);

class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  ~UniqueFd() { reset(); }
  UniqueFd(UniqueFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  void reset() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }
  [[nodiscard]] int get() const { return fd_; }
  [[nodiscard]] bool is_open() const { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

/// Those that a new process shall get lie at kLowestFd and above: below, dup2 would overwrite one
/// that is still to be copied.
inline constexpr int kLowestFd = 16;

struct Pipe {
  UniqueFd read_end;   ///< never blocks
  UniqueFd write_end;  ///< for a new process
};

[[nodiscard]] Pipe make_pipe();

/// A file in memory with these bytes, for a new process to read from its beginning. Unlike a pipe
/// it takes any length at once.
[[nodiscard]] UniqueFd make_file(std::initializer_list<std::string_view> parts);

/// /dev/null to read, for a new process.
[[nodiscard]] UniqueFd open_null();

/// Keeps the first bytes that come and drops the rest, so that no writer ever waits for room.
class Receiver {
 public:
  Receiver(UniqueFd fd, int64_t max_bytes) : fd_(std::move(fd)), max_bytes_(max_bytes) {}

  /// What is there, up to 1 MiB: the rest can wait until the clock has been looked at.
  void receive();
  [[nodiscard]] int fd() const { return fd_.get(); }  ///< -1, which poll ignores, at the end
  [[nodiscard]] const std::string& bytes() const { return bytes_; }
  [[nodiscard]] bool truncated() const { return truncated_; }

  /// As valid UTF-8; where bytes were dropped it ends with a whole character.
  [[nodiscard]] std::string text() const;

 private:
  UniqueFd fd_;
  int64_t max_bytes_;
  std::string bytes_;
  bool truncated_ = false;
};

/// A running bwrap. It has one child, the first process of the sandbox's pid namespace; when that
/// ends, the kernel kills all others in there, and only then tells that it has ended.
class Bwrap {
 public:
  /// `fds` become 0, 1, 2, ... of the process, which has no others.
  Bwrap(std::vector<std::string> arguments, std::span<const int> fds);
  ~Bwrap() { end(); }
  Bwrap(const Bwrap&) = delete;
  Bwrap& operator=(const Bwrap&) = delete;

  [[nodiscard]] int pidfd() const { return pidfd_.get(); }  ///< readable when it has ended

  /// `info` is what bwrap has written so far to its --info-fd.
  void find_child(std::string_view info);

  /// Kills what still runs and waits until all is gone. The status as waitpid gives it, or nothing
  /// where somebody else has taken it.
  std::optional<int> end() noexcept;

 private:
  pid_t pid_ = -1;
  UniqueFd pidfd_, child_;
  std::optional<int> status_;
};

}  // namespace nanochat::sandbox
