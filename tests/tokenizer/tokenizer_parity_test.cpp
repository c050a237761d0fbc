// labels: parity
// The ids of tiktoken with upstream's ranks.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "core/file.h"
#include "support/fixtures.h"
#include "support/sha256.h"
#include "tokenizer/fixture_vocabulary.h"
#include "tokenizer/tokenizer.h"

namespace nanochat {
namespace {

using nlohmann::json;
using test::bytes_of_hex;
using Ids = std::vector<int32_t>;

class TokenizerParityTest : public ::testing::TestWithParam<int> {
 protected:
  static json load(const char* name) {
    return test::load_json(test::fixtures_dir() / "tokenizer" / name);
  }
  void SetUp() override {
    if (test::find_fixtures("tokenizer/strings.json").empty()) {
      GTEST_SKIP() << test::missing_fixture("tokenizer/strings.json");
    }
    tokenizer_.emplace(test::fixture_vocabulary(GetParam()));
    ASSERT_EQ(tokenizer_->vocab_size(), GetParam());
  }
  std::optional<Tokenizer> tokenizer_;
};
INSTANTIATE_TEST_SUITE_P(Vocabularies, TokenizerParityTest, ::testing::Values(512, 2048));

TEST_P(TokenizerParityTest, TrickyStrings) {
  const json strings = load("strings.json")["strings"];
  ASSERT_GE(strings.size(), 10U);
  const std::string field = fmt::format("ids_{}", GetParam());
  for (const json& s : strings) {
    SCOPED_TRACE(s["name"].dump());
    const std::string text = bytes_of_hex(s["utf8_hex"]);
    const Ids ids = tokenizer_->encode(text);
    EXPECT_EQ(ids, s[field].get<Ids>());
    EXPECT_EQ(tokenizer_->decode(ids), text);
  }
}

TEST_P(TokenizerParityTest, AWholeFile) {
  const std::string text =
      read_file(test::fixtures_dir() / "tokenizer/train.txt", int64_t{1} << 24);
  const json expected = load("corpus.json")["whole_train_txt"][std::to_string(GetParam())];
  const Ids ids = tokenizer_->encode(text);
  ASSERT_EQ(ids.size(), expected["num_tokens"].get<size_t>());
  EXPECT_EQ(Ids(ids.begin(), ids.begin() + 100), expected["first_100"].get<Ids>());
  EXPECT_EQ(Ids(ids.end() - 50, ids.end()), expected["last_50"].get<Ids>());
  EXPECT_EQ(test::sha256(test::bytes_of_ids(ids)), expected["sha256_u32le"].get<std::string>());
  EXPECT_EQ(tokenizer_->decode_bytes(ids), text);
}

TEST_P(TokenizerParityTest, PrependAppendAndBatch) {
  const json corpus = load("corpus.json");
  const json& ends = corpus["prepend_append"];
  if (ends["vocab"].get<int>() == GetParam()) {
    const std::string text = ends["text"];
    const std::vector<std::string_view> texts = {text};
    const auto rows =
        tokenizer_->encode_batch(texts, tokenizer_->special_id(ends["prepend"].get<std::string>()),
                                 tokenizer_->special_id(ends["append"].get<std::string>()));
    EXPECT_EQ(rows, std::vector<Ids>{ends["ids"].get<Ids>()});
  }
  const json& batch = corpus["batch"];
  if (batch["vocab"].get<int>() == GetParam()) {
    const auto texts = batch["texts"].get<std::vector<std::string>>();
    const std::vector<std::string_view> views(texts.begin(), texts.end());
    EXPECT_EQ(tokenizer_->encode_batch(views, batch["prepend"].get<int32_t>()),
              batch["ids"].get<std::vector<Ids>>());
  }
}

TEST_P(TokenizerParityTest, BytesAndTextOfIds) {
  const json decode = load("decode.json");
  if (decode["vocab"].get<int>() != GetParam())
    GTEST_SKIP() << "the fixture is of another vocabulary";
  ASSERT_GE(decode["cases"].size(), 10U);
  for (const json& c : decode["cases"]) {
    SCOPED_TRACE(c.dump());
    const Ids ids = c["ids"];
    EXPECT_EQ(tokenizer_->decode_bytes(ids), bytes_of_hex(c["bytes_hex"]));
    const std::string text = bytes_of_hex(c["text_replace_utf8_hex"]);
    EXPECT_EQ(tokenizer_->decode(ids), text);
    StreamDecoder stream(*tokenizer_);
    std::string streamed;
    for (const int32_t id : ids) streamed += stream.push(id);
    EXPECT_EQ(streamed + stream.finish(), text);
  }
}

TEST_P(TokenizerParityTest, BytesPerToken) {
  const json expected = load("token_bytes.json")["vocabs"][std::to_string(GetParam())];
  EXPECT_EQ(token_byte_counts(*tokenizer_), expected["modern"].get<Ids>());
  EXPECT_EQ(token_byte_counts(*tokenizer_, TokenBytesRule::kReplaced),
            expected["classic"].get<Ids>());
}

}  // namespace
}  // namespace nanochat
