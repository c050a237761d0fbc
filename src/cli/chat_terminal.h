/// The keyboard in `nanochat chat`: a line editor with a history, and Ctrl-C.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

namespace nanochat::cli {

/// Lines from the terminal on standard input, edited by libedit (its ~/.editrc counts, so vi keys
/// are one line there). While this lives, Ctrl-C and SIGTERM end nothing but are told. One at a
/// time, on the main thread.
class ChatTerminal {
 public:
  /// Lines of the history file come back with arrow up; remember() adds to it. It is the user's
  /// alone (mode 0600) and keeps the last 1000 lines or so.
  ChatTerminal(const std::filesystem::path& history_file, bool colour);
  ~ChatTerminal();
  ChatTerminal(const ChatTerminal&) = delete;
  ChatTerminal& operator=(const ChatTerminal&) = delete;

  enum class Event : uint8_t {
    kLine,
    kEnd,          ///< Ctrl-D at an empty line, or the terminal is gone
    kInterrupt,    ///< Ctrl-C; `text` is what stood there
    kTermination,  ///< SIGTERM
  };
  struct Input {
    Event event = Event::kEnd;
    std::string text{};  ///< UTF-8, without the end of the line
  };
  /// Shows the prompt, which is not empty, and waits.
  [[nodiscard]] Input read_line(std::string_view prompt);
  /// Into the history. A file that cannot be written is no error: a warning, once.
  void remember(std::string_view line);

  /// Ctrl-C was pressed since this was asked last.
  [[nodiscard]] bool take_interrupt() noexcept;
  /// SIGTERM came.
  [[nodiscard]] bool terminated() const noexcept;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace nanochat::cli
