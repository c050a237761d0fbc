// labels: e2e
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <sys/wait.h>
#include <unistd.h>

namespace nanochat {
namespace {

struct Result {
  int exit_code = -1;
  std::string out, err;
};

/// Runs the built program through the shell, which sees "VARIABLE=value nanochat <arguments>".
Result run(const std::string& arguments, const std::string& variables = "") {
  const auto folder = std::filesystem::temp_directory_path();
  std::string err_name = (folder / "nanochat-stderr-XXXXXX").string();
  const int err_fd = ::mkstemp(err_name.data());
  const std::string command =
      fmt::format("{} '{}' {} 2>'{}'", variables, NANOCHAT_BINARY, arguments, err_name);
  std::FILE* const pipe = ::popen(command.c_str(), "r");
  Result result;
  char buffer[4096];
  for (size_t n; (n = std::fread(buffer, 1, sizeof buffer, pipe)) > 0;) {
    result.out.append(buffer, n);
  }
  const int status = ::pclose(pipe);
  if (WIFEXITED(status)) result.exit_code = WEXITSTATUS(status);
  for (ssize_t n; (n = ::read(err_fd, buffer, sizeof buffer)) > 0;) {
    result.err.append(buffer, static_cast<size_t>(n));
  }
  ::close(err_fd);
  std::filesystem::remove(err_name);
  return result;
}

/// One line on stderr that holds `text`, nothing on stdout.
void expect_refusal(const Result& result, int exit_code, const std::string& text) {
  EXPECT_EQ(result.exit_code, exit_code) << result.err;
  EXPECT_EQ(result.out, "");
  EXPECT_TRUE(result.err.starts_with("error: ")) << result.err;
  EXPECT_NE(result.err.find(text), std::string::npos) << result.err;
  EXPECT_EQ(result.err.find('\n'), result.err.size() - 1) << result.err;
}

TEST(CommandLine, HelpListsTheCommandsThatExist) {
  const Result result = run("--help");
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_NE(result.out.find("info"), std::string::npos) << result.out;
  EXPECT_EQ(result.err, "");
  EXPECT_NE(run("info --help").out.find("--base-dir"), std::string::npos);
}

TEST(CommandLine, VersionIsOneLine) {
  const Result result = run("--version");
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_TRUE(result.out.starts_with("nanochat ")) << result.out;
  EXPECT_EQ(result.out.find('\n'), result.out.size() - 1) << result.out;
}

TEST(CommandLine, WhatItDoesNotKnowIsAUsageError) {
  expect_refusal(run(""), 2, "no command given");
  expect_refusal(run("fly"), 2, "unknown command 'fly'");
  expect_refusal(run("--fly"), 2, "--fly");
  expect_refusal(run("info --fly"), 2, "--fly");
  expect_refusal(run("info fly"), 2, "fly");
  expect_refusal(run("info --threads 0"), 2, "--threads");
  expect_refusal(run("info --threads many"), 2, "--threads");
  expect_refusal(run("info --threads"), 2, "--threads");
}

TEST(CommandLine, AMissingInstructionSetIsADeviceError) {
  expect_refusal(run("info", "NANOCHAT_CPU_ISA=mmx"), 7, "mmx");
}

TEST(CommandLine, AResultThatCannotBeWrittenIsAnInputOutputError) {
  expect_refusal(run("info >/dev/full"), 5, "No space left on device");
  expect_refusal(run("--help >/dev/full"), 5, "No space left on device");
}

TEST(CommandLine, NoHomeAndNoBaseDirIsAUsageError) {
  const std::string nowhere = "env -u HOME -u NANOCHAT_BASE_DIR";
  expect_refusal(run("info", nowhere), 2, "--base-dir");
  EXPECT_EQ(run("info --base-dir /tmp/x", nowhere).exit_code, 0);
}

TEST(Info, JsonIsOneObjectWithWhatScriptsNeed) {
  const Result result =
      run("info --json", "NANOCHAT_CPU_ISA=portable NANOCHAT_BASE_DIR='/tmp/a b'");
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.err, "");
  const auto info = nlohmann::json::parse(result.out);
  EXPECT_EQ(info.at("base_dir"), "/tmp/a b");
  EXPECT_GE(info.at("cores").get<int>(), 1);
  EXPECT_GE(info.at("threads").get<int>(), 1);
  EXPECT_GT(info.at("memory_bytes").get<int64_t>(), int64_t{1} << 26);
  EXPECT_NE(info.at("cpu_backend").get<std::string>().find("portable"), std::string::npos);
  EXPECT_EQ(info.at("preferred_dtype"), "f32");
  for (const char* key : {"version", "compiler", "build_type", "cpu_model"}) {
    EXPECT_FALSE(info.at(key).get<std::string>().empty()) << key;
  }
}

TEST(Info, TheFlagWinsOverTheVariable) {
  const Result result =
      run("info --json --base-dir '/tmp/flag dir' --threads 1", "NANOCHAT_BASE_DIR=/tmp/variable");
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const auto info = nlohmann::json::parse(result.out);
  EXPECT_EQ(info.at("base_dir"), "/tmp/flag dir");
  EXPECT_EQ(info.at("threads"), 1);
}

TEST(Info, ForPeopleItFitsOnAScreen) {
  const Result result = run("info");
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_NE(result.out.find("cpu backend"), std::string::npos) << result.out;
  EXPECT_LT(std::count(result.out.begin(), result.out.end(), '\n'), 24);
}

}  // namespace
}  // namespace nanochat
