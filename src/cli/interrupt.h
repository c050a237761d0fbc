/// Ctrl-C and SIGTERM as something a command can finish its work for.
#pragma once

#include <csignal>
#include <exception>

namespace nanochat::cli {

/// Thrown where a command stops because of a signal, with nothing half written.
class Interrupted : public std::exception {
 public:
  explicit Interrupted(int signal) : signal_(signal) {}
  [[nodiscard]] const char* what() const noexcept override { return "interrupted"; }
  /// What a shell says of a process that the signal ended: 130 for Ctrl-C, 143 for SIGTERM.
  [[nodiscard]] int exit_code() const noexcept { return 128 + signal_; }

 private:
  int signal_;
};

/// While it lives, the first SIGINT or SIGTERM is only remembered; a second one ends the process.
/// One at a time, on the main thread.
class InterruptGuard {
 public:
  InterruptGuard();
  ~InterruptGuard();
  InterruptGuard(const InterruptGuard&) = delete;
  InterruptGuard& operator=(const InterruptGuard&) = delete;

  /// Which one there was; 0: none.
  [[nodiscard]] int signal() const noexcept;
  /// There was one.
  [[nodiscard]] bool requested() const noexcept;
  /// Throws Interrupted when there was one.
  void check() const;

 private:
  struct sigaction old_interrupt_ {};
  struct sigaction old_terminate_ {};
};

}  // namespace nanochat::cli
