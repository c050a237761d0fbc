/// Runs the built program: $NANOCHAT_BIN, else the one that was built with the tests
/// (NANOCHAT_BINARY, a compile definition).
#pragma once

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/temporary_folder.h"

namespace nanochat::test {

inline std::string program_path() {
  const char* variable = std::getenv("NANOCHAT_BIN");
  return variable != nullptr && *variable != '\0' ? variable : NANOCHAT_BINARY;
}

inline std::string file_bytes(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file.is_open()) << path;
  return {std::istreambuf_iterator<char>(file), {}};
}

struct ProgramResult {
  int exit_code = -1;  ///< -N: ended by signal N
  std::string out, err;
};

/// A process that runs now; its output goes into files.
class RunningProgram {
 public:
  explicit RunningProgram(const std::vector<std::string>& arguments,
                          const std::string& input = "") {
    folder_.write("in", input);
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    const std::string in = (folder_ / "in").string();
    const std::string out = (folder_ / "out").string();
    const std::string err = (folder_ / "err").string();
    constexpr int kWrite = O_WRONLY | O_CREAT | O_TRUNC;
    ::posix_spawn_file_actions_addopen(&actions, 0, in.c_str(), O_RDONLY, 0);
    ::posix_spawn_file_actions_addopen(&actions, 1, out.c_str(), kWrite, 0600);
    ::posix_spawn_file_actions_addopen(&actions, 2, err.c_str(), kWrite, 0600);
    std::vector<std::string> words{program_path()};
    words.insert(words.end(), arguments.begin(), arguments.end());
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    EXPECT_EQ(::posix_spawn(&pid_, argv[0], &actions, nullptr, argv.data(), environ), 0);
    ::posix_spawn_file_actions_destroy(&actions);
  }
  ~RunningProgram() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  RunningProgram(const RunningProgram&) = delete;
  RunningProgram& operator=(const RunningProgram&) = delete;

  void send(int signal) const { ::kill(pid_, signal); }
  /// What it has written to stdout.
  [[nodiscard]] std::string out_so_far() const { return file_bytes(folder_ / "out"); }
  [[nodiscard]] ProgramResult wait() {
    int status = 0;
    EXPECT_EQ(::waitpid(pid_, &status, 0), pid_);
    pid_ = -1;
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status),
            file_bytes(folder_ / "out"), file_bytes(folder_ / "err")};
  }

 private:
  TemporaryFolder folder_;
  pid_t pid_ = -1;
};

inline ProgramResult run_program(const std::vector<std::string>& arguments,
                                 const std::string& input = "") {
  return RunningProgram(arguments, input).wait();
}

}  // namespace nanochat::test
