#include "tokenizer/vocabulary.h"

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.h"

namespace nanochat {
namespace {

std::vector<std::string> bytes_and(std::vector<std::string> merged) {
  std::vector<std::string> tokens;
  for (int b = 0; b < 256; ++b) tokens.emplace_back(1, static_cast<char>(b));
  tokens.insert(tokens.end(), merged.begin(), merged.end());
  return tokens;
}

std::string refusal(const Vocabulary& vocabulary) {
  try {
    vocabulary.validate("here");
  } catch (const DataError& error) {
    return error.what();
  }
  return "";
}

TEST(VocabularyTest, SpecialsFollowTheTokensInUpstreamsOrder) {
  const Vocabulary v = Vocabulary::from_tokens(bytes_and({"th", "the"}));
  EXPECT_EQ(v.size(), 256 + 2 + 9);
  EXPECT_EQ(v.specials.size(), 9U);
  EXPECT_EQ(v.specials.at("<|bos|>"), 258);
  EXPECT_EQ(v.specials.at("<|user_start|>"), 259);
  EXPECT_EQ(v.specials.at("<|output_end|>"), 266);
  EXPECT_EQ(v.pattern, kNanochatPattern);
  EXPECT_EQ(refusal(v), "");
}

TEST(VocabularyTest, SizeCountsToTheHighestIdOverGaps) {
  Vocabulary v{.tokens = bytes_and({}), .specials = {}};
  EXPECT_EQ(v.size(), 256);
  v.specials = {{"<|endoftext|>", 300}, {"<|fim|>", 270}};
  EXPECT_EQ(v.size(), 301);
  EXPECT_EQ(refusal(v), "");
}

TEST(VocabularyTest, RefusalsNameTheFileAndTheToken) {
  using ::testing::AllOf;
  using ::testing::HasSubstr;
  using ::testing::StartsWith;
  const Vocabulary good = Vocabulary::from_tokens(bytes_and({"th"}));
  Vocabulary v = good;
  v.tokens[256] = "";
  EXPECT_THAT(refusal(v), AllOf(StartsWith("here: "), HasSubstr("token 256 is empty")));
  v = good;
  v.tokens[256] = "a";
  EXPECT_THAT(refusal(v), HasSubstr("token 256 is there twice"));
  v = good;
  v.tokens[0xAB] = "xy";
  EXPECT_THAT(refusal(v), HasSubstr("no token for the byte 0xab"));
  v = good;
  v.specials["<|bos|>"] = 256;
  EXPECT_THAT(refusal(v), AllOf(HasSubstr("<|bos|>"), HasSubstr("256")));
  v = good;
  v.specials["<|bos|>"] = v.specials["<|user_end|>"];
  EXPECT_THAT(refusal(v), HasSubstr("taken or out of range"));
  v = good;
  v.specials["<|bos|>"] = -1;
  EXPECT_THAT(refusal(v), HasSubstr("<|bos|>"));
  v = good;
  v.specials["<|bos|>"] = INT32_MAX;
  EXPECT_THAT(refusal(v), HasSubstr("<|bos|>"));
  v = good;
  v.specials[""] = 300;
  EXPECT_THAT(refusal(v), HasSubstr("has no name"));
}

TEST(VocabularyTest, RefusesMoreTokensThanIdsHaveRoomFor) {
  Vocabulary v;
  v.tokens.resize((size_t{1} << 24) + 1);
  EXPECT_THAT(refusal(v), ::testing::HasSubstr("16777217 tokens"));
}

}  // namespace
}  // namespace nanochat
