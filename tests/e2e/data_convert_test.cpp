// labels: e2e
#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "data/document_source.h"
#include "support/program.h"
#include "support/refusal.h"
#include "support/temporary_folder.h"

namespace nanochat {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using test::ProgramResult;
using Words = std::vector<std::string>;

class DataConvertTest : public ::testing::Test {
 protected:
  void SetUp() override {
#ifndef NANOCHAT_ARROW
    GTEST_SKIP() << "built without Apache Arrow";
#endif
    std::string lines;
    for (int i = 0; i < 300; ++i) {
      texts_.push_back(fmt::format("document {} has {} words", i, i % 7));
      lines += json{{"text", texts_.back()}}.dump() + "\n";
    }
    folder_.write("in/a.jsonl", lines);
    folder_.write("in/b.txt", "one\n\n\ntwo");
    texts_.insert(texts_.end(), {"one", "two"});
  }
  [[nodiscard]] std::string path(std::string_view name) const { return (folder_ / name).string(); }
  [[nodiscard]] ProgramResult convert(const std::string& out, const Words& more = {}) const {
    Words words{"data",   "convert",         "--data",    path("in"),    "--out", path(out),
                "--json", "--txt-separator", "\\n\\n\\n", "--row-group", "16",    "--shard-chars",
                "2000"};
    words.insert(words.end(), more.begin(), more.end());
    return test::run_program(words);
  }
  [[nodiscard]] Words documents(const std::string& name) const {
    DocumentSource source(std::vector<std::string>{path(name)});
    Words all;
    for (DocumentBatch batch; source.next(batch);) {
      all.insert(all.end(), batch.documents.begin(), batch.documents.end());
    }
    return all;
  }

  test::TemporaryFolder folder_;
  Words texts_;
};

TEST_F(DataConvertTest, EveryDocumentIsInOneShardAndTheSeedGivesTheOrder) {
  const ProgramResult r = convert("a");
  ASSERT_EQ(r.exit_code, 0) << r.err;
  const json report = json::parse(r.out);
  EXPECT_EQ(report.at("documents"), texts_.size());
  EXPECT_GT(report.at("shards").size(), 2);
  for (const json& shard : report.at("shards")) EXPECT_TRUE(fs::exists(shard.at("path")));
  const Words shuffled = documents("a");
  EXPECT_NE(shuffled, texts_);
  EXPECT_TRUE(std::ranges::is_permutation(shuffled, texts_));

  ASSERT_EQ(convert("b").exit_code, 0);
  EXPECT_EQ(documents("b"), shuffled);
  ASSERT_EQ(convert("c", {"--seed", "43"}).exit_code, 0);
  EXPECT_NE(documents("c"), shuffled);
  ASSERT_EQ(convert("d", {"--no-shuffle"}).exit_code, 0);
  EXPECT_EQ(documents("d"), texts_);
}

TEST_F(DataConvertTest, AFolderThatHoldsDocumentsIsLeftAlone) {
  folder_.write("full/mine.jsonl", "{\"text\": \"mine\"}\n");
  const ProgramResult r = convert("full");
  EXPECT_EQ(r.exit_code, 2);
  EXPECT_SAYS(r.err, "full");
  EXPECT_EQ(documents("full"), Words{"mine"});
}

TEST_F(DataConvertTest, ABadShardIsNamedAndLeavesNothingUnlessSkipped) {
  folder_.write("in/c.jsonl", "{\"text\": 7}\n");
  const ProgramResult r = convert("out");
  EXPECT_EQ(r.exit_code, 3);
  EXPECT_SAYS(r.err, "c.jsonl");
  EXPECT_TRUE(!fs::exists(path("out")) || fs::is_empty(path("out")));
  const ProgramResult skipped = convert("out", {"--skip-bad-shards"});
  ASSERT_EQ(skipped.exit_code, 0) << skipped.err;
  EXPECT_EQ(json::parse(skipped.out).at("skipped_files"), 1);
  EXPECT_EQ(documents("out").size(), texts_.size());
}

}  // namespace
}  // namespace nanochat
