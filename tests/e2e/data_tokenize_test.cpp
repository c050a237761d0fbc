// labels: e2e
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "support/program.h"
#include "support/refusal.h"
#include "support/temporary_folder.h"

namespace nanochat {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using test::ProgramResult;
using Words = std::vector<std::string>;

class DataTokenizeTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string lines;
    for (int i = 0; i < 1500; ++i) {
      lines += json{{"text", fmt::format("the {} trees and {} rivers", i, i * 7)}}.dump() + "\n";
    }
    folder_.write("in/a.jsonl", lines);
    folder_.write("in/b.jsonl", lines.substr(0, lines.find('\n', 20000) + 1));
    for (const auto& [name, size] : {std::pair("t", "300"), {"u", "301"}}) {
      const auto trained = test::run_program({"tok", "train", "--data", path("in/a.jsonl"), "--out",
                                              path(name) + "/", "--vocab-size", size, "--quiet"});
      ASSERT_EQ(trained.exit_code, 0) << trained.err;
    }
  }

  [[nodiscard]] std::string path(std::string_view name) const { return (folder_ / name).string(); }
  [[nodiscard]] ProgramResult tokenize(const Words& more = {}, const std::string& tokenizer = "t") {
    Words words{"data",          "tokenize", "--data",    path("in"), "--tokenizer",
                path(tokenizer), "--out",    path("out"), "--json"};
    words.insert(words.end(), more.begin(), more.end());
    return test::run_program(words);
  }

  test::TemporaryFolder folder_;
};

TEST_F(DataTokenizeTest, WritesOneFileForEachAndThenLeavesThem) {
  const ProgramResult first = tokenize();
  ASSERT_EQ(first.exit_code, 0) << first.err;
  const json result = json::parse(first.out);
  EXPECT_EQ(result.at("written_files"), 2);
  EXPECT_EQ(result.at("kept_files"), 0);
  EXPECT_GT(result.at("documents"), 1500);
  const std::string bytes = test::file_bytes(folder_ / "out/a.jsonl.tok");
  const auto time = fs::last_write_time(folder_ / "out/a.jsonl.tok");

  fs::remove(folder_ / "out/b.jsonl.tok");  // as after a kill
  const ProgramResult second = tokenize();
  ASSERT_EQ(second.exit_code, 0) << second.err;
  EXPECT_EQ(json::parse(second.out).at("written_files"), 1);
  EXPECT_EQ(json::parse(second.out).at("kept_files"), 1);
  EXPECT_EQ(json::parse(second.out).at("tokens"), result.at("tokens"));
  EXPECT_EQ(fs::last_write_time(folder_ / "out/a.jsonl.tok"), time);

  ASSERT_EQ(tokenize({}, "u").exit_code, 0);
  EXPECT_NE(test::file_bytes(folder_ / "out/a.jsonl.tok"), bytes) << "another tokenizer's";
}

TEST_F(DataTokenizeTest, ABadFileIsNamedOrLeftOut) {
  folder_.write("in/c.jsonl", "{\"text\": \"fine\"}\nnot json\n");
  const ProgramResult refused = tokenize();
  EXPECT_EQ(refused.exit_code, 3);
  EXPECT_SAYS(refused.err, "c.jsonl:2: not valid JSON");
  EXPECT_FALSE(fs::exists(folder_ / "out/c.jsonl.tok"));
  const ProgramResult left_out = tokenize({"--skip-bad-shards"});
  EXPECT_EQ(left_out.exit_code, 0);
  EXPECT_EQ(json::parse(left_out.out).at("skipped_files"), 1);
  EXPECT_SAYS(left_out.err, "c.jsonl:2: not valid JSON");
}

TEST_F(DataTokenizeTest, WhatCannotBeIsSaidInOneLine) {
  EXPECT_EQ(tokenize({}, "no").exit_code, 4);
  folder_.write("out", "a file");
  const ProgramResult blocked = tokenize();
  EXPECT_EQ(blocked.exit_code, 4) << blocked.err;  // not a folder
  EXPECT_SAYS(blocked.err, "out");
  EXPECT_EQ(test::run_program({"data", "tokenize", "--data", path("in")}).exit_code, 2);
}

TEST_F(DataTokenizeTest, AFileOfNoneOfTheTextsIsWarnedAbout) {
  ASSERT_EQ(tokenize().exit_code, 0);
  fs::rename(folder_ / "in/b.jsonl", folder_ / "b.jsonl");
  const ProgramResult result = tokenize();
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_SAYS(result.err, "b.jsonl.tok is of none of these files");
}

}  // namespace
}  // namespace nanochat
