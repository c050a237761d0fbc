// labels: parity
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "core/file.h"
#include "support/fixtures.h"
#include "tokenizer/formats.h"
#include "tokenizer/formats_merges.h"

namespace nanochat {
namespace {

std::string from_hex(const std::string& hex) {
  std::string bytes;
  for (size_t i = 0; i + 1 < hex.size(); i += 2) {
    bytes += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
  }
  return bytes;
}

/// A fixture's ranks, lines of "hex rank" in order.
Vocabulary read_ranks(const std::filesystem::path& path) {
  std::vector<std::string> tokens;
  const std::string text = read_file(path, 1 << 20);
  for (size_t begin = 0; begin < text.size();) {
    const size_t space = text.find(' ', begin);
    const size_t end = text.find('\n', space);
    tokens.push_back(from_hex(text.substr(begin, space - begin)));
    EXPECT_EQ(text.substr(space + 1, end - space - 1), std::to_string(tokens.size() - 1));
    begin = end + 1;
  }
  return Vocabulary::from_tokens(std::move(tokens));
}

class FormatsParityTest : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    const std::string pattern = "tokenizer/" + GetParam() + "*";
    if (test::find_fixtures(pattern).empty()) GTEST_SKIP() << test::missing_fixture(pattern);
    vocabulary_ = read_ranks(test::fixtures_dir() / ("tokenizer/" + GetParam() + ".ranks.txt"));
    fixture_ = test::load_json(test::fixtures_dir() / ("tokenizer/" + GetParam() + ".json"));
  }

  Vocabulary vocabulary_;
  nlohmann::json fixture_;
};

TEST_P(FormatsParityTest, MergesFoundAreThoseOfTheTraining) {
  const std::vector<MergeParts> merges = find_merges(vocabulary_.tokens);
  const nlohmann::json& expected = fixture_["merges"];
  ASSERT_EQ(merges.size(), 256 + expected.size());
  ASSERT_GT(expected.size(), 200U);
  for (size_t i = 0; i < expected.size(); ++i) {
    EXPECT_EQ(merges[256 + i], (MergeParts{expected[i][0], expected[i][1]})) << i;
  }
}

TEST_P(FormatsParityTest, EveryFormatGivesTheVocabularyBack) {
  EXPECT_EQ(vocabulary_.pattern, fixture_["pattern"]);
  EXPECT_EQ(vocabulary_.specials.size(), fixture_["special_tokens"].size());
  for (const auto& [name, id] : fixture_["special_tokens"].items()) {
    EXPECT_EQ(vocabulary_.specials[name], id);
  }
  const std::string ours = format_ours(vocabulary_);
  EXPECT_NE(ours.find("\"merges\""), std::string::npos);
  EXPECT_EQ(parse_ours(ours, "ours"), vocabulary_);
  EXPECT_EQ(parse_tiktoken(format_tiktoken(vocabulary_), "tiktoken"), vocabulary_);
  EXPECT_EQ(parse_huggingface(format_huggingface(vocabulary_), "hf"), vocabulary_);
}

INSTANTIATE_TEST_SUITE_P(Fixtures, FormatsParityTest,
                         ::testing::Values("nanochat_512", "nanochat_2048"));

}  // namespace
}  // namespace nanochat
