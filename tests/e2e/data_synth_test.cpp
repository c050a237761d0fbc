// labels: e2e
#include <csignal>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "support/program.h"
#include "support/temporary_folder.h"

namespace nanochat {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using test::file_bytes;
using test::ProgramResult;
using test::run_program;
using test::TemporaryFolder;

/// One line on stderr that holds `text`, nothing on stdout.
void expect_refusal(const ProgramResult& result, int exit_code, const std::string& text) {
  EXPECT_EQ(result.exit_code, exit_code) << result.err;
  EXPECT_EQ(result.out, "");
  EXPECT_TRUE(result.err.starts_with("error: ")) << result.err;
  EXPECT_NE(result.err.find(text), std::string::npos) << result.err;
  EXPECT_EQ(result.err.find('\n'), result.err.size() - 1) << result.err;
}

TEST(DataSynth, WritesAWorldBelowTheBaseFolderAndKnowsItAgain) {
  const TemporaryFolder base;
  const std::vector<std::string> words{"data",      "synth", "--base-dir", base.path().string(),
                                       "--size-mb", "0.2",   "--json"};
  const ProgramResult made = run_program(words);
  ASSERT_EQ(made.exit_code, 0) << made.err;
  const json result = json::parse(made.out);
  EXPECT_EQ(result.at("was_there"), false);
  EXPECT_GE(result.at("bytes"), 200'000);
  const fs::path folder = base / "data" / "synth";
  EXPECT_EQ(result.at("path"), folder.string());
  for (const json& file : result.at("files")) {
    EXPECT_EQ(fs::file_size(folder / file.at("name").get<std::string>()), file.at("bytes"));
  }
  EXPECT_EQ(json::parse(file_bytes(folder / "manifest.json")).at("files"), result.at("files"));

  const ProgramResult again = run_program(words);
  EXPECT_EQ(again.exit_code, 0) << again.err;
  EXPECT_EQ(json::parse(again.out).at("was_there"), true);
}

TEST(DataSynth, TheTokenizerTrainsOnIt) {
  const TemporaryFolder base;
  const std::string out = (base / "world").string();
  ASSERT_EQ(run_program({"data", "synth", "--out", out, "--size-mb", "0.2"}).exit_code, 0);
  const ProgramResult trained =
      run_program({"tok", "train", "--base-dir", base.path().string(), "--data", out, "--split",
                   "train", "--vocab-size", "600", "--json"});
  ASSERT_EQ(trained.exit_code, 0) << trained.err;
  EXPECT_EQ(json::parse(trained.out).at("vocab_size"), 600);
}

TEST(DataSynth, BadOptionsAreUsageErrorsInOneLine) {
  const TemporaryFolder base;
  const std::string out = (base / "world").string();
  const auto refuses = [&](std::vector<std::string> words, const std::string& text) {
    words.insert(words.begin(), {"data", "synth", "--out", out});
    expect_refusal(run_program(words), 2, text);
  };
  refuses({"--language", "fr"}, "--language");
  refuses({"--size-mb", "0"}, "--size-mb");
  refuses({"--size-mb", "-3"}, "--size-mb");
  refuses({"--size-mb", "nan"}, "--size-mb");
  refuses({"--size-mb", "much"}, "--size-mb");
  refuses({"--documents", "0"}, "--documents");
  refuses({"--documents", "-5"}, "--documents");
  refuses({"--documents", "5", "--size-mb", "1"}, "--documents");
  refuses({"--seed", "x"}, "--seed");
  EXPECT_FALSE(fs::exists(out));
}

TEST(DataSynth, AnotherWorldInThePlaceIsOnlyReplacedOnDemand) {
  const TemporaryFolder base;
  const std::string out = (base / "world").string();
  const std::vector<std::string> first{"data", "synth", "--out", out, "--size-mb", "0.1"};
  ASSERT_EQ(run_program(first).exit_code, 0);
  std::vector<std::string> second = first;
  second.insert(second.end(), {"--seed", "2"});
  expect_refusal(run_program(second), 2, "--overwrite");
  second.push_back("--overwrite");
  EXPECT_EQ(run_program(second).exit_code, 0);
}

TEST(DataSynth, AnInterruptLeavesNothingBehind) {
  const TemporaryFolder base;
  test::RunningProgram program(
      {"data", "synth", "--out", (base / "world").string(), "--size-mb", "5000"});
  // Until it has begun to write.
  for (int i = 0; i < 1000 && fs::is_empty(base.path()); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  ASSERT_FALSE(fs::is_empty(base.path()));
  program.send(SIGINT);
  const ProgramResult result = program.wait();
  EXPECT_EQ(result.exit_code, 130) << result.err;
  EXPECT_TRUE(fs::is_empty(base.path()));
}

}  // namespace
}  // namespace nanochat
