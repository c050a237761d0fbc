/// Errors that a user, a file, a peer or the machine can cause, and the checks for our own bugs.
///
/// A typed Error says what, where and what to do, in one line. `cli/main.cpp` turns its exit_code()
/// into the process's exit status; no other room exits. NC_CHECK is for what only a bug of ours can
/// break: always on, it prints the place and aborts. NC_DCHECK is the same for inner loops, in
/// debug builds only.
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include <fmt/core.h>

namespace nanochat {

/// The program's exit codes; documented here and nowhere else in the code (docs: README, "Exit
/// codes"). 130 and 143 (interrupted, state saved) come from the signal numbers.
enum class ExitCode : int {
  kOk = 0,
  kUsage = 2,        ///< a flag or a value that makes no sense
  kBadData = 3,      ///< bad data, a corrupt file, shapes that do not fit
  kNotFound = 4,     ///< something named does not exist
  kIo = 5,           ///< input/output: disk full, no permission
  kOutOfMemory = 6,  ///< host or device memory
  kDevice = 7,       ///< no such device, or it failed
  kNumeric = 8,      ///< numbers went wrong: a non-finite loss
};

class Error : public std::runtime_error {
 public:
  [[nodiscard]] ExitCode exit_code() const noexcept { return exit_code_; }

 protected:
  Error(ExitCode code, const std::string& what) : std::runtime_error(what), exit_code_(code) {}

 private:
  ExitCode exit_code_;
};

/// One class per exit code (ShapeError shares kBadData): `throw DataError("{}: ...", path)`.
#define NC_DEFINE_ERROR(Name, code)                                        \
  class Name : public Error {                                              \
   public:                                                                 \
    template <typename... Args>                                            \
    explicit Name(fmt::format_string<Args...> format, Args&&... args)      \
        : Error(code, fmt::format(format, std::forward<Args>(args)...)) {} \
  }
NC_DEFINE_ERROR(UsageError, ExitCode::kUsage);
NC_DEFINE_ERROR(DataError, ExitCode::kBadData);
NC_DEFINE_ERROR(ShapeError, ExitCode::kBadData);
NC_DEFINE_ERROR(NotFoundError, ExitCode::kNotFound);
NC_DEFINE_ERROR(IoError, ExitCode::kIo);
NC_DEFINE_ERROR(OutOfMemoryError, ExitCode::kOutOfMemory);
NC_DEFINE_ERROR(DeviceError, ExitCode::kDevice);
NC_DEFINE_ERROR(NumericError, ExitCode::kNumeric);
#undef NC_DEFINE_ERROR

/// Prints "file:line: check failed: condition: message" to stderr and aborts.
[[noreturn]] void check_failed(const char* file, int line, const char* condition,
                               const std::string& message) noexcept;

}  // namespace nanochat

#define NC_CHECK(condition, ...)                                                               \
  do {                                                                                         \
    if (!(condition)) [[unlikely]]                                                             \
      ::nanochat::check_failed(__FILE__, __LINE__, #condition, ::fmt::format("" __VA_ARGS__)); \
  } while (false)

#ifdef NDEBUG
#define NC_DCHECK(condition, ...) static_cast<void>(sizeof(!(condition)))
#else
#define NC_DCHECK(condition, ...) NC_CHECK(condition, __VA_ARGS__)
#endif
