#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "core/error.h"
#include "tokenizer/small_vocabulary.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/utf8.h"

namespace nanochat {
namespace {

/// What a reader sees after each token; checks that it is always whole UTF-8.
std::vector<std::string> stream(const Tokenizer& tokenizer, const std::vector<int32_t>& ids) {
  StreamDecoder decoder(tokenizer);
  std::vector<std::string> texts;
  for (const int32_t id : ids) texts.push_back(decoder.push(id));
  texts.push_back(decoder.finish());
  for (const std::string& text : texts) EXPECT_EQ(utf8::find_invalid(text), text.size());
  return texts;
}

std::string joined(const std::vector<std::string>& texts) {
  std::string all;
  for (const std::string& text : texts) all += text;
  return all;
}

TEST(StreamDecoderTest, HoldsBackACharacterUntilItIsWhole) {
  const Tokenizer tokenizer(test::small_vocabulary());
  EXPECT_EQ(stream(tokenizer, {'a', 0xe4, 0xbd, 0xa0, 'b'}),
            (std::vector<std::string>{"a", "", "", "\xe4\xbd\xa0", "b", ""}));
  EXPECT_EQ(stream(tokenizer, {0xf0, 0x9f, 0x98, 0x80}),
            (std::vector<std::string>{"", "", "", "\xf0\x9f\x98\x80", ""}));
}

TEST(StreamDecoderTest, ReplacesWhatCanNoLongerBecomeACharacter) {
  const Tokenizer tokenizer(test::small_vocabulary());
  EXPECT_EQ(stream(tokenizer, {0xe4, 'b'}), (std::vector<std::string>{"",
                                                                      "\xef\xbf\xbd"
                                                                      "b",
                                                                      ""}));
  EXPECT_EQ(stream(tokenizer, {0xff}), (std::vector<std::string>{"\xef\xbf\xbd", ""}));
  EXPECT_EQ(stream(tokenizer, {0xe4, 0xbd}), (std::vector<std::string>{"", "", "\xef\xbf\xbd"}));
}

TEST(StreamDecoderTest, StartsAfreshAfterFinish) {
  const Tokenizer tokenizer(test::small_vocabulary());
  StreamDecoder decoder(tokenizer);
  EXPECT_EQ(decoder.push(0xe4), "");
  EXPECT_EQ(decoder.finish(), "\xef\xbf\xbd");
  EXPECT_EQ(decoder.finish(), "");
  EXPECT_EQ(decoder.push('a'), "a");
}

TEST(StreamDecoderTest, AnIdThatIsNoneLeavesWhatWaits) {
  const Tokenizer tokenizer(test::small_vocabulary());
  StreamDecoder decoder(tokenizer);
  EXPECT_EQ(decoder.push(0xe4), "");
  EXPECT_THROW(static_cast<void>(decoder.push(100'000)), DataError);
  EXPECT_EQ(decoder.push(0xbd), "");
  EXPECT_EQ(decoder.push(0xa0), "\xe4\xbd\xa0");
}

// Every way to cut these bytes into tokens of one to three bytes gives the text of the whole.
TEST(StreamDecoderTest, GivesTheSameTextHoweverItsBytesAreCut) {
  const std::string bytes =
      "a\xc3\xa9\xe4\xbd\xa0\xf0\x9f\x98\x80\xe4\xbd\xf0\x9f"
      "b\xff\xed\xa0\x80";
  std::vector<std::string> merged;
  for (size_t size = 2; size <= 3; ++size) {
    for (size_t i = 0; i + size <= bytes.size(); ++i) {
      std::string token = bytes.substr(i, size);
      if (std::ranges::find(merged, token) == merged.end()) merged.push_back(std::move(token));
    }
  }
  const Vocabulary vocabulary = test::small_vocabulary(merged);
  const Tokenizer tokenizer(vocabulary);
  const auto id_of = [&](const std::string& token) {
    return static_cast<int32_t>(std::ranges::find(vocabulary.tokens, token) -
                                vocabulary.tokens.begin());
  };
  const std::string whole = utf8::replace_invalid(bytes);
  std::mt19937 random(3);
  for (int trial = 0; trial < 2000; ++trial) {
    std::vector<int32_t> ids;
    for (size_t i = 0; i < bytes.size();) {
      const size_t size = std::min<size_t>(1 + random() % 3, bytes.size() - i);
      ids.push_back(id_of(bytes.substr(i, size)));
      i += size;
    }
    ASSERT_EQ(joined(stream(tokenizer, ids)), whole) << "trial " << trial;
    ASSERT_EQ(tokenizer.decode(ids), whole);
  }
}

TEST(StreamDecoderTest, GivesTheTextOfAnyBytes) {
  const Tokenizer tokenizer(test::small_vocabulary());
  std::mt19937 random(5);
  // Bytes that matter to UTF-8: its leads, the limits of its second bytes, and ASCII.
  const std::string bytes = "a\x80\x8f\x90\x9f\xa0\xbf\xc1\xc2\xe0\xe1\xed\xef\xf0\xf1\xf4\xf5\xff";
  for (int trial = 0; trial < 5000; ++trial) {
    std::vector<int32_t> ids;
    for (size_t i = 0; i < 12; ++i) {
      ids.push_back(static_cast<uint8_t>(bytes[random() % bytes.size()]));
    }
    ASSERT_EQ(joined(stream(tokenizer, ids)), tokenizer.decode(ids)) << "trial " << trial;
  }
}

}  // namespace
}  // namespace nanochat
