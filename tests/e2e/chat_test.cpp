// labels: e2e
// nanochat chat as its users meet it: one answer, pipes, JSON, and a conversation at a terminal.
// The models say one thing only, whatever they are told, so that every test knows what comes.
#include <chrono>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <poll.h>
#include <pty.h>
#include <sys/stat.h>
#include <termios.h>

#include "engine/small_model.h"
#include "support/program.h"
#include "support/sanitizers.h"
#include "tokenizer/conversation.h"
#include "tokenizer/formats.h"
#include "tokenizer/small_vocabulary.h"
#include "train/checkpoint.h"

namespace nanochat {
namespace {

namespace fs = std::filesystem;
using test::ProgramResult;
using ::testing::HasSubstr;
using ::testing::Not;
using Words = std::vector<std::string>;
using Successor = std::map<int32_t, int32_t>;

// Ids of small_vocabulary({}): the bytes, then the special tokens.
constexpr int32_t kAssistantStart = 259, kAssistantEnd = 260, kPythonStart = 261, kPythonEnd = 262,
                  kOutputEnd = 264;

constexpr const char* kPrompt = "\x1b[1;32m>\x1b[0m ";  // bold green

/// After <|assistant_start|> these ids, then the end. No id twice.
Successor says(const std::vector<int32_t>& ids) {
  Successor successor;
  int32_t before = kAssistantStart;
  for (const int32_t id : ids) before = successor[before] = id;
  successor[before] = kAssistantEnd;
  return successor;
}

/// A program at a terminal.
class Terminal {
 public:
  Terminal(const Words& arguments, const std::string& variables = "TERM=xterm") {
    winsize size{.ws_row = 24, .ws_col = 80, .ws_xpixel = 0, .ws_ypixel = 0};
    pid_ = ::forkpty(&fd_, nullptr, nullptr, &size);
    if (pid_ != 0) return;
    ::unsetenv("NO_COLOR");
    ::setenv("LC_ALL", "C", 1);
    ::putenv(const_cast<char*>(variables.c_str()));
    std::vector<char*> argv{const_cast<char*>(program_.c_str())};
    for (const std::string& word : arguments) argv.push_back(const_cast<char*>(word.c_str()));
    argv.push_back(nullptr);
    ::execv(argv[0], argv.data());
    ::_exit(127);
  }
  ~Terminal() {
    if (pid_ > 0) {
      ::kill(pid_, SIGKILL);
      ::waitpid(pid_, nullptr, 0);
    }
    ::close(fd_);
  }
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  void type(const std::string& keys) const {
    EXPECT_EQ(::write(fd_, keys.data(), keys.size()), static_cast<ssize_t>(keys.size()));
  }
  /// What has come since the last time, up to and with `text`; all within 20 s otherwise.
  std::string until(const std::string& text) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    size_t found;
    while ((found = unread_.find(text)) == std::string::npos) {
      if (!read_more() || std::chrono::steady_clock::now() > end) {
        ADD_FAILURE() << "no '" << text << "' in: " << unread_;
        return std::exchange(unread_, "");
      }
    }
    const std::string part = unread_.substr(0, found + text.size());
    unread_.erase(0, found + text.size());
    return part;
  }
  /// Until the editor reads keys: it shows its prompt a moment before it has the terminal, and the
  /// kernel would edit what is typed between.
  void wait_for_prompt() {
    until(kPrompt);
    for (int i = 0; i < 2000 && echoes(); ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
  }
  void send(int signal) const { ::kill(pid_, signal); }
  /// The rest of what comes, and the exit code.
  ProgramResult wait() {
    while (read_more()) {
    }
    int status = 0;
    ::waitpid(pid_, &status, 0);
    pid_ = -1;
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status), unread_, ""};
  }
  [[nodiscard]] bool echoes() const {
    termios mode{};
    ::tcgetattr(fd_, &mode);
    return (mode.c_lflag & ECHO) != 0;
  }

 private:
  bool read_more() {
    pollfd ready{.fd = fd_, .events = POLLIN, .revents = 0};
    if (::poll(&ready, 1, 5000) <= 0) return false;
    char buffer[4096];
    const ssize_t n = ::read(fd_, buffer, sizeof buffer);
    if (n <= 0) return false;
    unread_.append(buffer, static_cast<size_t>(n));
    return true;
  }

  const std::string program_ = test::program_path();
  int fd_ = -1;
  pid_t pid_ = -1;
  std::string unread_;
};

class ChatTest : public ::testing::Test {
 protected:
  [[nodiscard]] fs::path base() const { return folder_ / "base"; }

  void make_model(const std::string& stage, const std::string& tag, const Successor& successor,
                  int64_t sequence_len = 128) const {
    const Tokenizer tokenizer(test::small_vocabulary({}));
    const fs::path folder = base() / "runs" / stage / tag;
    const RunFolder run(folder);
    const auto weights = test::bigram_weights(successor, tokenizer.vocab_size(), sequence_len);
    save_checkpoint(run, 1, *weights, {}, {{"stage", stage}});
    save_vocabulary(tokenizer.vocabulary(), folder);
  }
  [[nodiscard]] Words chat(const Words& more) const {
    Words words{"chat", "--base-dir", base().string(), "--threads", "1"};
    words.insert(words.end(), more.begin(), more.end());
    return words;
  }
  [[nodiscard]] ProgramResult run(const Words& more, const std::string& input = "") const {
    return test::run_program(chat(more), input);
  }
  void expect_refusal(const Words& more, int exit_code, const std::string& why) const {
    const ProgramResult r = run(more);
    EXPECT_EQ(r.exit_code, exit_code) << r.err;
    EXPECT_EQ(r.out, "");
    EXPECT_THAT(r.err, HasSubstr(why));
  }

  test::TemporaryFolder folder_;
};

// ---- one answer --------------------------------------------------------------------------------

TEST_F(ChatTest, OneAnswerIsAllThatIsOnStdout) {
  make_model("sft", "d1", says({'H', 'i', '!'}));
  const ProgramResult r = run({"-p", "hello"});
  EXPECT_EQ(r.exit_code, 0) << r.err;
  EXPECT_EQ(r.out, "Hi!\n");
  EXPECT_THAT(r.err, HasSubstr("sft:d1@1"));
  EXPECT_THAT(r.err, HasSubstr("first token"));
  EXPECT_THAT(r.err, Not(HasSubstr("base model")));
  EXPECT_EQ(run({"-p", "-"}, "hello\n").out, "Hi!\n");
  const ProgramResult quiet = run({"-p", "hello", "--quiet"});
  EXPECT_EQ(quiet.out, "Hi!\n");
  EXPECT_EQ(quiet.err, "");
}

TEST_F(ChatTest, PicksTheFurthestStageAndSaysWhatABaseModelIs) {
  make_model("base", "d1", says({'b'}));
  const ProgramResult base = run({"-p", "hello"});
  EXPECT_EQ(base.out, "b\n");
  EXPECT_THAT(base.err, HasSubstr("base:d1@1 is a base model"));
  make_model("sft", "d1", says({'s'}));
  EXPECT_EQ(run({"-p", "hello"}).out, "s\n");
  make_model("rl", "d1", says({'r'}));
  EXPECT_EQ(run({"-p", "hello"}).out, "r\n");
  EXPECT_EQ(run({"base", "-p", "hello"}).out, "b\n");
  EXPECT_EQ(run({"-p", "hello", "--quantize", "int8"}).out, "r\n");
}

TEST_F(ChatTest, JsonIsOneObjectForScripts) {
  make_model("sft", "d1", says({kPythonStart, '6', '*', '7', kPythonEnd}));
  const ProgramResult r = run({"-p", "hello", "--json", "--max-tokens=9"});
  ASSERT_EQ(r.exit_code, 0) << r.err;
  const nlohmann::json json = nlohmann::json::parse(r.out);
  EXPECT_EQ(json.at("model"), "sft:d1@1");
  EXPECT_EQ(json.at("prompt"), "hello");
  EXPECT_EQ(json.at("answer"), "");
  EXPECT_EQ(json.at("finish_reason"), "length");
  EXPECT_EQ(json.at("tokens"), 9);
  EXPECT_EQ(json.at("prompt_tokens"), 9);
  EXPECT_EQ(json.at("reused_tokens"), 0);
  EXPECT_GT(json.at("first_token_s"), 0);
  EXPECT_GT(json.at("process_first_token_s"), json.at("first_token_s"));
  EXPECT_GT(json.at("tokens_per_second"), 0);
  EXPECT_EQ(json.at("tool_calls"), nlohmann::json::parse(R"([{"code": "6*7", "result": "42"}])"));
}

TEST_F(ChatTest, ToolCallsAreShownInTheirPlace) {
  Successor successor = says({kPythonStart, '6', '*', '7', kPythonEnd});
  successor[kOutputEnd] = '!';
  successor['!'] = kAssistantEnd;
  make_model("sft", "d1", successor);
  EXPECT_EQ(run({"-p", "hello"}).out, "[6*7 -> 42]!\n");
  EXPECT_EQ(run({"-p", "hello", "--tools=none"}).out, "[6*7]\n");
}

TEST_F(ChatTest, PythonRunsInTheSandbox) {
  Successor successor = says({kPythonStart, '6', '%', '4', kPythonEnd});
  successor[kOutputEnd] = '!';
  successor['!'] = kAssistantEnd;
  make_model("sft", "d1", successor);
  EXPECT_EQ(run({"-p", "hello"}).out, "[6%4]\n") << "no arithmetic that the calculator knows";
  const ProgramResult r = run({"-p", "hello", "--tools", "python"});
  if (r.exit_code == 7) GTEST_SKIP() << r.err;
  EXPECT_EQ(r.out, "[6%4 -> 2]!\n");
}

TEST_F(ChatTest, ControlCharactersAreShownAndBrokenUtf8IsMended) {
  make_model("sft", "d1",
             says({0x1b, '[', '3', 'm', '\t', 0x07, 0x7f, 0xC2, 0x9B, 0xE4, '\n', 'z'}));
  EXPECT_EQ(run({"-p", "hello"}).out, "\\x1b[3m\t\\x07\\x7f\\x9b\uFFFD\nz\n");
  const ProgramResult json = run({"-p", "hello", "--json"});
  EXPECT_EQ(nlohmann::json::parse(json.out).at("answer"), "\x1b[3m\t\x07\x7f\xC2\x9B\uFFFD\nz");
  for (const char c : json.out) EXPECT_TRUE(c == '\n' || (c & 0xE0) != 0) << json.out;
  EXPECT_THAT(json.out, HasSubstr("\\u009b"));
}

TEST_F(ChatTest, TheEndsOfAnAnswer) {
  make_model("sft", "d1", {{kAssistantStart, 'a'}, {'a', 'b'}, {'b', 'a'}});
  EXPECT_EQ(run({"-p", "hello", "--max-tokens", "5"}).out, "ababa\n");
  EXPECT_EQ(run({"-p", "hello", "--stop", "X", "--stop", "aba"}).out, "\n");
  EXPECT_EQ(run({"-p", "hello", "--context", "12"}).out, "aba\n");  // 9 tokens of prompt
  const ProgramResult none = run({"-p", "hello", "--max-tokens", "0"});
  EXPECT_EQ(none.exit_code, 0);
  EXPECT_EQ(none.out, "\n");
  EXPECT_THAT(none.err, HasSubstr("no token"));
  make_model("rl", "d1", says({}));
  const ProgramResult at_once = run({"-p", "hello"});
  EXPECT_EQ(at_once.exit_code, 0);
  EXPECT_EQ(at_once.out, "\n");
  EXPECT_THAT(at_once.err, HasSubstr("ended its answer at once"));
}

TEST_F(ChatTest, RefusesWithOneLineAndTheRightCode) {
  expect_refusal({"-p", "hello"}, 4, "no model");
  make_model("sft", "d1", says({'x'}));
  expect_refusal({"--fly"}, 2, "--fly");
  expect_refusal({"-p", " \n"}, 2, "the prompt is empty");
  expect_refusal({"-p", std::string(200, 'x')}, 2, "the context 128");
  expect_refusal({"-p", "x", "--temperature=-1"}, 2, "temperature");
  expect_refusal({"-p", "x", "--top-p", "0"}, 2, "top-p");
  expect_refusal({"-p", "x", "--max-memory", "lots"}, 2, "no size such as 2GiB");
  expect_refusal({"-p", "x", "--max-memory", "1MiB"}, 2, "--max-memory");
  expect_refusal({"-p", "x", "--tools", "hammer"}, 2, "--tools");
  EXPECT_EQ(run({"-p", "x", "--max-memory", "2GiB"}).exit_code, 0);
}

// ---- pipes -------------------------------------------------------------------------------------

TEST_F(ChatTest, EachLineOfAPipeIsATurnOfOneConversation) {
  make_model("sft", "d1", says({'H', 'i'}));
  const ProgramResult r = run({}, "one\n\ntwo \\\nlines\n\"\"\"\n/x\n\"\"\"\n//y\nlast");
  EXPECT_EQ(r.exit_code, 2) << r.err;  // "/x" is no command
  EXPECT_EQ(r.out, "Hi\nHi\nHi\nHi\n");
  EXPECT_THAT(r.err, HasSubstr("unknown command /x"));
}

TEST_F(ChatTest, JsonLinesAnswerLineByLine) {
  make_model("sft", "d1", says({'H', 'i'}));
  const std::string file = (folder_ / "chat.json").string();
  const ProgramResult r =
      run({"--json"},
          fmt::format("\u4f60\u597d\n/temp 0\n{}\nthree\n/save {}\n", std::string(200, 'x'), file));
  EXPECT_EQ(r.exit_code, 2) << r.err;
  std::istringstream lines(r.out);
  std::vector<nlohmann::json> objects;
  for (std::string line; std::getline(lines, line);) objects.push_back(nlohmann::json::parse(line));
  ASSERT_EQ(objects.size(), 3) << r.out;
  EXPECT_EQ(objects[0].at("prompt"), "\u4f60\u597d");
  EXPECT_EQ(objects[0].at("answer"), "Hi");
  EXPECT_FALSE(objects[0].contains("process_first_token_s"));
  EXPECT_THAT(objects[1].at("error"), HasSubstr("your message is 204 tokens"));
  EXPECT_EQ(objects[2].at("reused_tokens"),
            objects[0].at("prompt_tokens").get<int>() + objects[0].at("tokens").get<int>());
  const Conversation saved = parse_conversation(test::file_bytes(file), file);
  ASSERT_EQ(saved.messages.size(), 4);
  EXPECT_EQ(std::get<std::string>(saved.messages[0].content), "\u4f60\u597d");
}

TEST_F(ChatTest, AReaderThatWentAwayIsAnError) {
  make_model("sft", "d1", says({'H', 'i'}));
  const std::string command = fmt::format("'{}' chat --base-dir '{}' -p x --quiet >/dev/full 2>&1",
                                          test::program_path(), base().string());
  const int status = std::system(command.c_str());
  EXPECT_EQ(WEXITSTATUS(status), 5);
}

// ---- a conversation ----------------------------------------------------------------------------

TEST_F(ChatTest, AConversationAtATerminal) {
  make_model("sft", "d1", says({'H', 0x1b, 'i'}));
  Terminal terminal(chat({"--timing"}));
  terminal.until("/help lists commands");
  terminal.wait_for_prompt();
  terminal.type("hello\r");
  EXPECT_THAT(terminal.until("tokens/s"), HasSubstr("H\\x1bi\r\n"));
  terminal.wait_for_prompt();
  terminal.type("/temp 0.25\r");
  terminal.until("temperature 0.25");
  terminal.type("/system be kind\r");
  terminal.until("system text: be kind");
  terminal.type("/fly\r");
  terminal.until("unknown command /fly");
  terminal.type("\u4f60\x7f\u597d \u4e16\u754c\r");  // backspace takes a whole character
  terminal.until("H\\x1bi");
  terminal.type("\"\"\"\r/one\rtwo\r\"\"\"\r/exit\r");  // typed ahead: a block that is no command
  terminal.until("unknown command /one");
  const ProgramResult end = terminal.wait();
  EXPECT_EQ(end.exit_code, 0) << end.out;
}

TEST_F(ChatTest, WhatWasTypedIsSavedAndComesBackFromTheHistory) {
  make_model("sft", "d1", says({'H', 'i'}));
  const std::string file = (folder_ / "chat.json").string();
  {
    Terminal terminal(chat({}));
    terminal.wait_for_prompt();
    terminal.type("\u4f60\x7f\u597d\r");
    terminal.until("Hi\r\n");
    terminal.wait_for_prompt();
    terminal.type("two\\\rlines\r");
    terminal.until("Hi\r\n");
    terminal.wait_for_prompt();
    terminal.type("/regen\r");
    terminal.until("Hi\r\n");
    terminal.wait_for_prompt();
    terminal.type("/save " + file + "\r");
    terminal.until("written to");
    terminal.wait_for_prompt();
    terminal.type("\x04");
    EXPECT_EQ(terminal.wait().exit_code, 0);
  }
  const Conversation saved = parse_conversation(test::file_bytes(file), file);
  ASSERT_EQ(saved.messages.size(), 4);
  EXPECT_EQ(std::get<std::string>(saved.messages[0].content), "\u597d");
  EXPECT_EQ(std::get<std::string>(saved.messages[2].content), "two\nlines");

  struct stat status {};
  ASSERT_EQ(::stat((base() / "chat_history").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600);
  EXPECT_EQ(test::file_bytes(base() / "chat_history"),
            "\u597d\ntwo\\\nlines\n/regen\n/save " + file + "\n");
  Terminal terminal(chat({}));
  terminal.wait_for_prompt();
  terminal.type("\x1b[A\x1b[A\x1b[A\x1b[A\x1b[A!\r");  // five lines up
  terminal.until("\u597d");
  terminal.until("Hi\r\n");
}

TEST_F(ChatTest, ControlCStopsTheAnswerAndNotTheProgram) {
  make_model("sft", "d1", {{kAssistantStart, 'a'}, {'a', 'b'}, {'b', 'a'}}, 8192);
  Terminal terminal(chat({"--max-tokens", "80000", "--context", "80000"}));
  terminal.wait_for_prompt();
  terminal.type("go\r");
  terminal.until("abababab");
  terminal.type("\x03");
  terminal.until("(stopped)");
  terminal.wait_for_prompt();
  terminal.type("/save " + (folder_ / "chat.json").string() + "\r");
  terminal.until("written to");
  terminal.wait_for_prompt();
  terminal.type("half a line");
  terminal.until("half a line");
  terminal.type("\x03");
  terminal.until("^C");
  terminal.wait_for_prompt();
  terminal.type("\x03");
  terminal.until("once more");
  terminal.wait_for_prompt();
  terminal.type("\x03");
  const ProgramResult end = terminal.wait();
  EXPECT_EQ(end.exit_code, 130) << end.out;
  const Conversation saved = parse_conversation(test::file_bytes(folder_ / "chat.json"), "chat");
  ASSERT_EQ(saved.messages.size(), 2);
  EXPECT_THAT(std::get<std::string>(saved.messages[1].content), ::testing::StartsWith("ababab"));
}

TEST_F(ChatTest, SignalsEndIt) {
  make_model("sft", "d1", {{kAssistantStart, 'a'}, {'a', 'b'}, {'b', 'a'}}, 8192);
  const Words endless = chat({"--max-tokens", "80000", "--context", "80000"});
  {
    Terminal terminal(endless);
    terminal.wait_for_prompt();
    terminal.send(SIGTERM);
    EXPECT_EQ(terminal.wait().exit_code, 143);
  }
  Words one = endless;
  one.insert(one.end(), {"-p", "go"});
  Terminal terminal(one);
  terminal.until("abababab");
  terminal.type("\x03");
  const ProgramResult end = terminal.wait();
  EXPECT_EQ(end.exit_code, 130);
  EXPECT_THAT(end.out, HasSubstr("(stopped)"));
}

TEST_F(ChatTest, ColoursOnlyWhereTheyAreWelcome) {
  make_model("sft", "d1", says({kPythonStart, '6', '*', '7', kPythonEnd}));
  const Words one = chat({"-p", "hello", "--max-tokens", "9"});
  EXPECT_THAT(Terminal(one).until("42"), HasSubstr("\x1b[36m"));
  EXPECT_THAT(Terminal(one, "NO_COLOR=1").until("42"), Not(HasSubstr("\x1b[")));
}

}  // namespace
}  // namespace nanochat
