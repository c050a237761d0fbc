/// Runs Python that a model wrote, where it can do no harm. docs/sandbox.md says what confines it,
/// and what is not promised.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace nanochat {

/// Each run gets these afresh. The defaults of time and memory are upstream's.
struct SandboxLimits {
  double timeout_s = 5.0;  ///< by the wall clock, from before Python starts; then all is killed
  int64_t memory_bytes = int64_t{256} << 20;  ///< address space of each process; at least 32 MiB
  int64_t cpu_s = 10;                         ///< processor time of each process
  int64_t file_bytes = int64_t{16} << 20;     ///< size of one file
  int64_t tmp_bytes = int64_t{64} << 20;      ///< all files together; they are in memory
  int64_t processes = 16;  ///< and threads, at one time, the code's first one included
  int64_t output_bytes = int64_t{1} << 20;  ///< kept of stdout, and as much of stderr
};

/// As upstream's `execute_code` (nanochat/execution.py), with `truncated` added.
struct ExecutionResult {
  /// The code ran to its end, and Python ended with status 0. sys.exit(0) before the end is no
  /// success: what counts is a report that the sandbox's own lines make after the code's last one.
  bool success = false;
  std::string out, err;  ///< valid UTF-8, U+FFFD for what was not; also of what failed or timed out
  /// None after success. "TypeName: message" of an exception that nobody caught (SystemExit too);
  /// "Execution timed out (process killed)"; else, of a process that just ended, the last line of
  /// stderr with something in it, or "Execution failed" and how.
  std::optional<std::string> error;
  bool timeout = false;          ///< of the wall clock or of processor time
  bool memory_exceeded = false;  ///< the error is a MemoryError
  bool truncated = false;        ///< there was more output than is kept
};

/// Programs run in /tmp, empty and their own, as "__main__", with the standard library, without
/// arguments, environment, network or standard input (it is at its end).
///
/// A run costs 15 ms or so beyond the code's own time. Threads may share one sandbox, and run as
/// many programs at once as they like. When run() returns, every process that the program started
/// is gone.
class PythonSandbox {
 public:
  /// Looks for what it needs and tries it: throws DeviceError, which says what is missing and what
  /// to do, where a program could not be confined (no bubblewrap, no user namespaces, ...). It
  /// never runs anything unconfined. UsageError: a limit that makes no sense.
  explicit PythonSandbox(const SandboxLimits& limits = {});

  /// `code` is Python's source, UTF-8 unless it declares otherwise; of any length. Whatever it does
  /// is a result; DeviceError and IoError are for a machine that is out of memory, processes or
  /// files.
  [[nodiscard]] ExecutionResult run(std::string_view code) const;

  [[nodiscard]] const SandboxLimits& limits() const noexcept { return limits_; }

 private:
  SandboxLimits limits_;
  std::string filter_;  // the system calls' filter, as a program of the kernel's packet filter
  std::string setpriv_, bwrap_, python_;  // paths; setpriv only for root
};

}  // namespace nanochat
