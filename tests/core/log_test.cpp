#include "core/log.h"

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdlib>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "support/console_capture.h"

namespace nanochat {
namespace {

using test::CapturedConsole;
using test::seen_on_terminal;

TEST(Console, PrefixesWarningsAndErrors) {
  CapturedConsole console({});
  console.print(LogLevel::kInfo, "step 1");
  console.print(LogLevel::kWarning, "no checkpoint yet");
  console.print(LogLevel::kError, "disk full");
  EXPECT_EQ(console.text(), "step 1\nwarning: no checkpoint yet\nerror: disk full\n");
}

TEST(Console, ColoursOnlyThePrefixAndOnlyWhenAsked) {
  CapturedConsole console({.is_terminal = true, .colour = true});
  console.print(LogLevel::kInfo, "plain");
  console.print(LogLevel::kError, "red");
  EXPECT_EQ(console.text(), "plain\n\x1b[31merror:\x1b[0m red\n");
}

TEST(Console, WritesNoEscapeCodesWithoutATerminal) {
  CapturedConsole console({});
  console.show_status("10%");
  console.print(LogLevel::kInfo, "line");
  console.show_status("");
  EXPECT_EQ(console.text(), "line\n");
}

TEST(Console, QuietKeepsWarningsAndErrorsOnly) {
  CapturedConsole console({.is_terminal = true, .colour = false});
  console.show_status("10%");
  console.set_quiet(true);
  EXPECT_TRUE(console.quiet());
  console.show_status("20%");
  console.print(LogLevel::kInfo, "gone");
  console.print(LogLevel::kWarning, "stays");
  EXPECT_EQ(seen_on_terminal(console.text()), "warning: stays\n");
  console.set_quiet(false);
  console.print(LogLevel::kInfo, "back");
  EXPECT_EQ(seen_on_terminal(console.text()), "warning: stays\nback\n");
}

TEST(Console, ALogLineDoesNotGarbleTheStatusLine) {
  CapturedConsole console({.is_terminal = true, .colour = false});
  console.show_status("a long status line of 10%");
  EXPECT_EQ(seen_on_terminal(console.text()), "a long status line of 10%");
  console.print(LogLevel::kInfo, "short");
  EXPECT_EQ(seen_on_terminal(console.text()), "short\na long status line of 10%");
  console.show_status("20%");
  EXPECT_EQ(seen_on_terminal(console.text()), "short\n20%");
  console.print(LogLevel::kInfo, "two\nlines");
  EXPECT_EQ(seen_on_terminal(console.text()), "short\ntwo\nlines\n20%");
  console.show_status("");
  EXPECT_EQ(seen_on_terminal(console.text()), "short\ntwo\nlines\n");
}

TEST(Console, CutsTheStatusLineToTheWidthOfTheTerminal) {
  CapturedConsole console({.is_terminal = true, .colour = false});  // a pipe has no width: 80
  console.show_status(std::string(200, 'x'));
  EXPECT_EQ(seen_on_terminal(console.text()), std::string(79, 'x'));
  std::string chinese;
  for (int i = 0; i < 100; ++i) chinese += "中";
  console.show_status(chinese);
  EXPECT_EQ(seen_on_terminal(console.text()), chinese.substr(0, 3 * 39)) << "39 wide characters";
  console.show_status(std::string(78, 'x') + "é!");
  EXPECT_EQ(seen_on_terminal(console.text()), std::string(78, 'x') + "é");
}

// A model may write anything, and its samples are shown.
TEST(Console, TextCannotSendControlCharactersThroughTheStatusLine) {
  CapturedConsole console({.is_terminal = true, .colour = false});
  console.show_status(
      "a\x1b[2Jb\nc\rd\x7f"
      "e\xff");
  EXPECT_EQ(seen_on_terminal(console.text()), "a [2Jb c d e\xff");
}

TEST(Console, LinesOfManyThreadsStayWhole) {
  CapturedConsole console({.is_terminal = true, .colour = false});
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&console, t] {
      for (int i = 0; i < 50; ++i) {
        console.print(LogLevel::kInfo, std::string(20, static_cast<char>('a' + t)));
        console.show_status(fmt::format("status of {}", t));
      }
    });
  }
  for (std::thread& t : threads) t.join();
  console.show_status("");
  const std::string seen = seen_on_terminal(console.text());
  std::array<int, 4> lines{};
  for (size_t begin = 0; begin < seen.size(); begin += 21) {
    const char c = seen[begin];
    ASSERT_TRUE(c >= 'a' && c < 'e') << seen.substr(begin, 30);
    ASSERT_EQ(seen.substr(begin, 21), std::string(20, c) + "\n");
    ++lines[static_cast<size_t>(c - 'a')];
  }
  EXPECT_EQ(lines, (std::array<int, 4>{50, 50, 50, 50}));
}

TEST(Console, SurvivesAClosedReader) {
  std::array<int, 2> fds{};
  ASSERT_EQ(::pipe(fds.data()), 0);
  ::close(fds[0]);
  const auto before = std::signal(SIGPIPE, SIG_IGN);
  Console console(fds[1], {});
  console.print(LogLevel::kInfo, "nobody listens");
  std::signal(SIGPIPE, before);
  ::close(fds[1]);
}

class SavedVariable {
 public:
  explicit SavedVariable(const char* name) : name_(name) {
    if (const char* value = std::getenv(name)) value_ = value;
  }
  ~SavedVariable() {
    if (value_) {
      ::setenv(name_, value_->c_str(), 1);
    } else {
      ::unsetenv(name_);
    }
  }
  SavedVariable(const SavedVariable&) = delete;
  SavedVariable& operator=(const SavedVariable&) = delete;

 private:
  const char* name_;
  std::optional<std::string> value_;
};

/// What a Console prints for an error on a terminal of its own.
std::string error_on_pseudo_terminal() {
  const int master = ::posix_openpt(O_RDWR | O_NOCTTY);
  if (master < 0 || ::grantpt(master) != 0 || ::unlockpt(master) != 0) return "no terminal";
  const int slave = ::open(::ptsname(master), O_RDWR | O_NOCTTY);
  if (slave < 0) return "no terminal";
  Console console(slave);
  EXPECT_TRUE(console.is_terminal());
  console.print(LogLevel::kError, "x");
  std::array<char, 64> bytes{};
  const ssize_t n = ::read(master, bytes.data(), bytes.size());
  ::close(slave);
  ::close(master);
  return std::string(bytes.data(), static_cast<size_t>(std::max<ssize_t>(n, 0)));
}

TEST(Console, ColoursOnATerminalUnlessNoColorIsSet) {
  const SavedVariable no_color("NO_COLOR"), term("TERM");
  ::unsetenv("NO_COLOR");
  ::setenv("TERM", "xterm", 1);
  const std::string coloured = error_on_pseudo_terminal();
  if (coloured == "no terminal") GTEST_SKIP() << "this system gives no pseudo terminals";
  EXPECT_EQ(coloured, "\x1b[31merror:\x1b[0m x\r\n");
  ::setenv("NO_COLOR", "1", 1);
  EXPECT_EQ(error_on_pseudo_terminal(), "error: x\r\n");
  ::setenv("NO_COLOR", "", 1);  // by no-color.org an empty one does not count
  EXPECT_EQ(error_on_pseudo_terminal(), coloured);
  ::setenv("TERM", "dumb", 1);
  EXPECT_EQ(error_on_pseudo_terminal(), "error: x\r\n");
}

TEST(Console, SeesThatAPipeIsNoTerminal) {
  CapturedConsole captured({});
  const Console console(captured.fd());
  EXPECT_FALSE(console.is_terminal());
}

}  // namespace
}  // namespace nanochat
