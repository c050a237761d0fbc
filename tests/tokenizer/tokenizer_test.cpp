#include "tokenizer/tokenizer.h"

#include <algorithm>
#include <chrono>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "core/error.h"
#include "core/parallel.h"
#include "support/naive_bpe.h"
#include "tokenizer/small_vocabulary.h"

namespace nanochat {
namespace {

using Ids = std::vector<int32_t>;
using test::small_vocabulary;
using std::string_literals::operator""s;

std::vector<std::string> single_bytes() {
  std::vector<std::string> bytes;
  for (int b = 0; b < 256; ++b) bytes.emplace_back(1, static_cast<char>(b));
  return bytes;
}

/// Few different bytes, so that random tokens occur in random texts: letters, spaces, digits, line
/// ends, and parts of UTF-8 characters that are whole only now and then.
constexpr std::string_view kAlphabet = "aaabbbcd  1\n'\xe4\xbd\xa0\xa0\xf0\x9f\xc3\xa9\xff";

std::string random_text(std::mt19937& random, size_t size) {
  std::string text;
  for (size_t i = 0; i < size; ++i) text += kAlphabet[random() % kAlphabet.size()];
  return text;
}

/// As training makes them: each token is two earlier ones.
Vocabulary merged_vocabulary(std::mt19937& random, size_t n_merges) {
  std::vector<std::string> tokens = single_bytes();
  std::set<std::string> known(tokens.begin(), tokens.end());
  std::vector<std::string> parts;
  for (const char byte : kAlphabet) parts.emplace_back(1, byte);
  while (n_merges > 0) {
    std::string token = parts[random() % parts.size()] + parts[random() % parts.size()];
    if (token.size() > 40 || !known.insert(token).second) continue;
    parts.push_back(token);
    tokens.push_back(std::move(token));
    --n_merges;
  }
  return Vocabulary::from_tokens(std::move(tokens));
}

/// As a file may have them: any strings at any ranks, so that some can never be made by merging and
/// some long tokens come before their parts.
Vocabulary arbitrary_vocabulary(std::mt19937& random, size_t n_merges) {
  std::vector<std::string> tokens = single_bytes();
  std::set<std::string> known(tokens.begin(), tokens.end());
  while (n_merges > 0) {
    std::string token = random_text(random, 2 + random() % (random() % 8 == 0 ? 80 : 4));
    if (!known.insert(token).second) continue;
    tokens.push_back(std::move(token));
    --n_merges;
  }
  std::ranges::shuffle(tokens, random);
  return Vocabulary::from_tokens(std::move(tokens));
}

/// Of two, three and four bytes; the last is beyond the encoder's table of characters.
const std::vector<std::string> kCharacters = {"\xc3\xa9", "\xe4\xbd\xa0", "\xe5\xa5\xbd",
                                              "\xe5\xbd\xa9", "\xf0\x9f\xa0\xa5"};

/// As training on Chinese makes them: most characters, words, and now and then a token that is cut
/// from within a character.
Vocabulary vocabulary_of_characters(std::mt19937& random, size_t n_merges) {
  std::vector<std::string> tokens = single_bytes();
  std::set<std::string> known(tokens.begin(), tokens.end());
  const auto add = [&](const std::string& token) {
    if (known.insert(token).second) tokens.push_back(token);
  };
  std::vector<std::string> parts = {"a"};
  for (const std::string& character : kCharacters) {
    if (random() % 8 == 0) continue;
    for (size_t n = 2; n <= character.size(); ++n) add(character.substr(0, n));
    parts.push_back(character);
  }
  for (size_t i = 0; i < n_merges; ++i) {
    std::string token = parts[random() % parts.size()];
    if (random() % 64 == 0) {
      // The start of the next character, which then is no token of the usual way.
      token += kCharacters[random() % kCharacters.size()][0];
    } else if (random() % 64 == 0) {
      token.insert(0, 1, kCharacters[random() % kCharacters.size()].back());
    } else {
      token += parts[random() % parts.size()];
    }
    if (token.size() > 30) continue;
    add(token);
    parts.push_back(token);
  }
  return Vocabulary::from_tokens(std::move(tokens));
}

std::string text_of_characters(std::mt19937& random, size_t n_characters) {
  std::string text;
  for (size_t i = 0; i < n_characters; ++i) {
    text += random() % 16 == 0 ? "a" : kCharacters[random() % kCharacters.size()];
    if (random() % 128 == 0) text.pop_back();  // ill-formed
  }
  return text;
}

void expect_same_as_naive(const Vocabulary& vocabulary, std::mt19937& random, int n_texts) {
  const Tokenizer tokenizer(vocabulary);
  const test::NaiveBpe naive(vocabulary);
  for (int i = 0; i < n_texts; ++i) {
    std::string text = random_text(random, random() % 200);
    // Tokens themselves are the best chance for long ones to occur.
    for (int k = 0; k < 3; ++k) text += vocabulary.tokens[random() % vocabulary.tokens.size()];
    if (i % 4 == 0) {
      std::erase_if(text, [](char c) { return c < 'a'; });  // long chunks
    }
    const Ids ids = tokenizer.encode(text);
    ASSERT_EQ(ids, naive.encode(text)) << fmt::format("text {:?}", text);
    ASSERT_EQ(tokenizer.decode_bytes(ids), text);
  }
}

TEST(TokenizerTest, EncodesLikeTheDefinitionWithTrainedVocabularies) {
  for (uint32_t seed = 0; seed < 30; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    expect_same_as_naive(merged_vocabulary(random, 20 + random() % 400), random, 40);
  }
}

TEST(TokenizerTest, EncodesLikeTheDefinitionWithArbitraryRanks) {
  for (uint32_t seed = 0; seed < 30; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    expect_same_as_naive(arbitrary_vocabulary(random, 20 + random() % 400), random, 40);
  }
}

// Merging may start from whole characters there, and must not where a token cuts one.
TEST(TokenizerTest, EncodesLikeTheDefinitionWithVocabulariesOfCharacters) {
  for (uint32_t seed = 0; seed < 60; ++seed) {
    std::mt19937 random(seed);
    const Vocabulary vocabulary = vocabulary_of_characters(random, random() % 120);
    const Tokenizer tokenizer(vocabulary);
    const test::NaiveBpe naive(vocabulary);
    for (int i = 0; i < 100; ++i) {
      const std::string text = text_of_characters(random, 1 + random() % 40);
      ASSERT_EQ(tokenizer.encode(text), naive.encode(text))
          << fmt::format("seed {} text {}", seed, i);
    }
  }
}

// With abc before ab and bc, "abc" is made from ab or bc, whichever has the lower rank.
TEST(TokenizerTest, ATokenMayComeBeforeItsParts) {
  const Vocabulary vocabulary = small_vocabulary({"abc", "bc", "ab"});
  EXPECT_EQ(Tokenizer(vocabulary).encode("xabcd"), (Ids{'x', 256, 'd'}));
}

// No two tokens of rank order ever make "abcd": it is the id of that chunk, but no part of another.
TEST(TokenizerTest, ATokenThatMergingNeverMakesIsStillAChunk) {
  const Tokenizer tokenizer(small_vocabulary({"bc", "abcd"}));
  EXPECT_EQ(tokenizer.encode("abcd"), (Ids{257}));
  EXPECT_EQ(tokenizer.encode("xabcd"), (Ids{'x', 'a', 256, 'd'}));
  // In a chunk of its own bytes and others, between places that no token spans.
  EXPECT_EQ(tokenizer.encode("xyabcdyx"), (Ids{'x', 'y', 'a', 256, 'd', 'y', 'x'}));
}

// rustbpe's own tests of overlapping runs.
TEST(TokenizerTest, MergesRunsFromTheLeft) {
  const Tokenizer tokenizer(small_vocabulary({"aa", "aaa"}));
  EXPECT_EQ(tokenizer.encode("aa"), (Ids{256}));
  EXPECT_EQ(tokenizer.encode("aaa"), (Ids{257}));
  EXPECT_EQ(tokenizer.encode("aaaa"), (Ids{256, 256}));
  EXPECT_EQ(tokenizer.encode("aaaaa"), (Ids{256, 257}));
}

TEST(TokenizerTest, EveryByteIsItself) {
  const Tokenizer tokenizer(small_vocabulary());
  for (int b = 0; b < 256; ++b) {
    const std::string text(1, static_cast<char>(b));
    EXPECT_EQ(tokenizer.encode(text), (Ids{b}));
    EXPECT_EQ(tokenizer.decode_bytes(Ids{b}), text);
  }
  EXPECT_EQ(tokenizer.encode(""), Ids{});
  EXPECT_EQ(tokenizer.decode(Ids{}), "");
  // Zeros are bytes like others, not the fill of a short key.
  EXPECT_EQ(tokenizer.encode("\0\0\0"s), (Ids{0, 0, 0}));
}

TEST(TokenizerTest, AMegabyteWithoutAPlaceToSplitTakesNoTime) {
  std::vector<std::string> powers;
  for (size_t n = 2; n <= 64; n *= 2) powers.emplace_back(n, 'a');
  for (size_t n = 2; n <= 16; ++n) powers.emplace_back(n, 'b');
  const Vocabulary vocabulary = small_vocabulary(powers);
  const Tokenizer tokenizer(vocabulary);
  std::mt19937 random(1);
  std::string letters;
  for (int i = 0; i < 1'000'000; ++i) letters += static_cast<char>('a' + random() % 2);
  const auto start = std::chrono::steady_clock::now();
  const Ids one_letter = tokenizer.encode(std::string(1'000'000, 'a'));
  const Ids two_letters = tokenizer.encode(letters);
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  EXPECT_EQ(one_letter, Ids(15'625, 261));  // 64 letters each
  EXPECT_EQ(tokenizer.decode_bytes(two_letters), letters);
  EXPECT_LT(seconds.count(), 20);  // quadratic time would be many minutes
  // The same letters, few enough for the definition.
  const std::string_view few = std::string_view(letters).substr(0, 1500);
  EXPECT_EQ(tokenizer.encode(few), test::NaiveBpe(vocabulary).encode(few));
}

TEST(TokenizerTest, SpecialTokensAreTextUnlessAskedFor) {
  const Tokenizer tokenizer(small_vocabulary());
  const int32_t bos = tokenizer.bos_id();
  const std::string text = "in<|bos|>the<|bo<|bos|>";
  const Ids ordinary = tokenizer.encode(text);
  EXPECT_TRUE(std::ranges::none_of(ordinary, [&](int32_t id) { return tokenizer.is_special(id); }));
  EXPECT_EQ(tokenizer.decode(ordinary), text);
  EXPECT_EQ(tokenizer.encode_with_specials(text), (Ids{259, bos, 257, '<', '|', 'b', 'o', bos}));
  EXPECT_EQ(tokenizer.encode_with_specials(""), Ids{});
  EXPECT_EQ(tokenizer.encode_with_specials("<|bos|><|user_end|>"), (Ids{bos, bos + 2}));
}

TEST(TokenizerTest, OfTwoSpecialTokensAtAPlaceTheLongerIsMeant) {
  Vocabulary vocabulary = small_vocabulary();
  vocabulary.specials = {{"<|a|>", 400}, {"<|a|>x", 300}, {"<|endoftext|>", 500}};
  const Tokenizer tokenizer(vocabulary);
  EXPECT_EQ(tokenizer.encode_with_specials("<|a|>y<|a|>x"), (Ids{400, 'y', 300}));
}

TEST(TokenizerTest, KnowsItsSpecialTokens) {
  const Tokenizer tokenizer(small_vocabulary({}));
  EXPECT_EQ(tokenizer.vocab_size(), 265);
  EXPECT_EQ(tokenizer.bos_id(), 256);
  for (int32_t k = 0; k < 9; ++k) {
    const std::string_view name = kSpecialTokens[static_cast<size_t>(k)];
    EXPECT_EQ(tokenizer.special_id(name), 256 + k);
    EXPECT_TRUE(tokenizer.is_special(256 + k));
    EXPECT_EQ(tokenizer.decode(Ids{256 + k}), name);
  }
  EXPECT_FALSE(tokenizer.is_special(255));
  EXPECT_FALSE(tokenizer.is_special(265));
  EXPECT_FALSE(tokenizer.is_special(-1));
  EXPECT_THROW(static_cast<void>(tokenizer.special_id("<|nothing|>")), NotFoundError);
}

TEST(TokenizerTest, OpenAiVocabulariesStartADocumentWithEndoftext) {
  Vocabulary vocabulary = small_vocabulary({});
  vocabulary.specials = {{"<|endoftext|>", 300}};  // a gap, as in cl100k_base
  const Tokenizer tokenizer(vocabulary);
  EXPECT_EQ(tokenizer.bos_id(), 300);
  EXPECT_EQ(tokenizer.vocab_size(), 301);
  EXPECT_FALSE(tokenizer.is_special(299));
  EXPECT_THROW(static_cast<void>(tokenizer.token_bytes(299)), DataError);
  vocabulary.specials.clear();
  EXPECT_THROW(static_cast<void>(Tokenizer(vocabulary).bos_id()), NotFoundError);
}

TEST(TokenizerTest, RefusesIdsThatAreNone) {
  const Tokenizer tokenizer(small_vocabulary({}));
  EXPECT_THROW(static_cast<void>(tokenizer.decode(Ids{'a', 265})), DataError);
  EXPECT_THROW(static_cast<void>(tokenizer.decode_bytes(Ids{-1})), DataError);
}

TEST(TokenizerTest, RefusesAVocabularyWithoutAllBytes) {
  Vocabulary vocabulary = small_vocabulary({"th"});
  vocabulary.tokens[0] = "xy";
  EXPECT_THROW(Tokenizer{vocabulary}, DataError);
}

TEST(TokenizerTest, DecodesIllFormedPartsToReplacementCharacters) {
  const Tokenizer tokenizer(small_vocabulary());
  const Ids ids = tokenizer.encode(
      "a\xe4\xbd\xa0\xe4\xbd"
      "b\xff\xfe");
  EXPECT_EQ(tokenizer.decode_bytes(ids),
            "a\xe4\xbd\xa0\xe4\xbd"
            "b\xff\xfe");
  EXPECT_EQ(tokenizer.decode(ids),
            "a\xe4\xbd\xa0\xef\xbf\xbd"
            "b\xef\xbf\xbd\xef\xbf\xbd");
}

TEST(TokenizerTest, AppendsToTheIdsThatAreThere) {
  const Tokenizer tokenizer(small_vocabulary());
  Ids ids = {1, 2};
  tokenizer.encode_to("the", ids);
  EXPECT_EQ(ids, (Ids{1, 2, 257}));
}

TEST(TokenizerTest, ABatchIsItsTextsInOrder) {
  std::mt19937 random(7);
  const Tokenizer tokenizer(merged_vocabulary(random, 300));
  std::vector<std::string> texts;
  for (int i = 0; i < 300; ++i) texts.push_back(random_text(random, random() % 2000));
  const std::vector<std::string_view> views(texts.begin(), texts.end());
  const int threads = num_threads();
  for (const int n : {1, 3}) {
    set_num_threads(n);
    const auto rows = tokenizer.encode_batch(views, tokenizer.bos_id(), 5);
    ASSERT_EQ(rows.size(), texts.size());
    for (size_t i = 0; i < texts.size(); ++i) {
      Ids expected = tokenizer.encode(texts[i]);
      expected.insert(expected.begin(), tokenizer.bos_id());
      expected.push_back(5);
      ASSERT_EQ(rows[i], expected) << "text " << i << ", " << n << " threads";
    }
  }
  set_num_threads(threads);
  EXPECT_EQ(tokenizer.encode_batch({}), std::vector<Ids>{});
  EXPECT_EQ(tokenizer.encode_batch(std::vector<std::string_view>{""}), std::vector<Ids>{{}});
}

TEST(TokenizerTest, ThreadsMayShareOne) {
  std::mt19937 random(11);
  const Vocabulary vocabulary = merged_vocabulary(random, 300);
  const Tokenizer shared(vocabulary);
  constexpr int kThreads = 4;
  std::vector<std::string> texts;
  for (int t = 0; t < kThreads; ++t) texts.push_back(random_text(random, 5000));
  std::vector<std::vector<Ids>> seen(kThreads);
  {
    std::vector<std::jthread> threads;
    for (size_t t = 0; t < kThreads; ++t) {
      threads.emplace_back([&, t] {
        for (size_t i = 0; i < 20; ++i) seen[t].push_back(shared.encode(texts[(t + i) % kThreads]));
      });
    }
  }
  for (size_t t = 0; t < kThreads; ++t) {
    for (size_t i = 0; i < 20; ++i) {
      ASSERT_EQ(seen[t][i], Tokenizer(vocabulary).encode(texts[(t + i) % kThreads]));
    }
  }
}

TEST(TokenizerTest, CountsTheBytesOfTokens) {
  const Tokenizer tokenizer(small_vocabulary());  // 261 and 262 are two and three bytes of a char
  const std::vector<int32_t> bytes = token_byte_counts(tokenizer);
  const std::vector<int32_t> replaced = token_byte_counts(tokenizer, TokenBytesRule::kReplaced);
  ASSERT_EQ(bytes.size(), 272U);
  ASSERT_EQ(replaced.size(), 272U);
  EXPECT_EQ(bytes['a'], 1);
  EXPECT_EQ(replaced['a'], 1);
  EXPECT_EQ(bytes[0x80], 1);
  EXPECT_EQ(replaced[0x80], 3);
  EXPECT_EQ(bytes[261], 2);
  EXPECT_EQ(replaced[261], 3);
  EXPECT_EQ(bytes[262], 3);
  EXPECT_EQ(replaced[262], 3);
  for (size_t id = 263; id < 272; ++id) EXPECT_EQ(bytes[id] + replaced[id], 0);
}

}  // namespace
}  // namespace nanochat
