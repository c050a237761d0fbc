#include "tokenizer/tok_eval.h"

#include <cmath>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tokenizer/small_vocabulary.h"
#include "tokenizer/utf8.h"

namespace nanochat {
namespace {

using test::small_vocabulary;

EvalRow row(std::string name, int64_t bytes, int64_t tokens) {
  return {.name = std::move(name),
          .bytes = bytes,
          .characters = bytes / 2,
          .tokens = tokens,
          .seconds = 0.001};
}
EvalResult ours() {
  return {"Ours", 32768, {row("news", 2000, 400), row("code", 1000, 500), row("math", 90, 30)}};
}
EvalResult gpt2() {
  return {"GPT-2", 50257, {row("news", 2000, 500), row("code", 1000, 400), row("math", 90, 30)}};
}

TEST(EvalTexts, AreAPageOfEachKind) {
  const std::vector<EvalText> texts = built_in_eval_texts();
  std::set<std::string> names;
  for (const EvalText& text : texts) {
    SCOPED_TRACE(text.name);
    names.insert(text.name);
    EXPECT_GT(text.text.size(), 1000U);
    EXPECT_LT(text.text.size(), 3000U);
    EXPECT_EQ(utf8::find_invalid(text.text), text.text.size());
    EXPECT_NE(static_cast<unsigned char>(text.text.front()), '\n');
    EXPECT_NE(text.text.back(), '\n');
  }
  EXPECT_EQ(names, (std::set<std::string>{"news", "chinese", "korean", "code", "math", "science"}));
}

TEST(Evaluate, CountsBytesCharactersAndTokens) {
  const Tokenizer tokenizer(small_vocabulary());  // it has "th", " the", "ing", "\u4f60"
  const std::vector<EvalText> texts = {
      {"english", "the thing"}, {"chinese", "\u4f60\u4f60"}, {"empty", ""}, {"bytes", "a\xff"}};
  const std::vector<EvalRow> rows = evaluate(tokenizer, texts, 0.001);
  ASSERT_EQ(rows.size(), 4U);
  EXPECT_EQ(rows[0].name, "english");
  EXPECT_EQ(rows[0].bytes, 9);
  EXPECT_EQ(rows[0].characters, 9);
  EXPECT_EQ(rows[0].tokens, 4);  // the, " ", th, ing
  EXPECT_DOUBLE_EQ(rows[0].bytes_per_token(), 2.25);
  EXPECT_GT(rows[0].seconds, 0);
  EXPECT_DOUBLE_EQ(rows[0].tokens_per_second(), 4 / rows[0].seconds);
  EXPECT_EQ(rows[1].bytes, 6);
  EXPECT_EQ(rows[1].characters, 2);
  EXPECT_EQ(rows[1].tokens, 2);
  EXPECT_DOUBLE_EQ(rows[1].characters_per_token(), 1);
  EXPECT_EQ(rows[2].tokens, 0);
  EXPECT_EQ(rows[2].bytes_per_token(), 0);
  EXPECT_EQ(rows[3].characters, 2);
  EXPECT_EQ(rows[3].tokens, 2);
}

TEST(Evaluate, EncodesEachTextAtLeastOnce) {
  const Tokenizer tokenizer(small_vocabulary());
  for (const EvalRow& r : evaluate(tokenizer, built_in_eval_texts(), 0)) {
    EXPECT_GT(r.tokens, 0) << r.name;
    EXPECT_GE(r.bytes, r.tokens) << r.name;
    EXPECT_TRUE(std::isfinite(r.seconds)) << r.name;
  }
}

TEST(Comparison, CountsTheDifferenceFromTheBaseline) {
  EXPECT_DOUBLE_EQ(relative_difference_percent(row("", 1, 500), row("", 1, 400)), 20);
  EXPECT_DOUBLE_EQ(relative_difference_percent(row("", 1, 400), row("", 1, 500)), -25);
  EXPECT_DOUBLE_EQ(relative_difference_percent(row("", 1, 0), row("", 1, 0)), 0);
}

TEST(Comparison, IsATableForTheTerminal) {
  EXPECT_EQ(comparison_table(gpt2(), ours()),
            "Comparison with GPT-2\n"
            "=============================================================================="
            "=================\n"
            "Text Type     Bytes     GPT-2             Ours              Relative     Better\n"
            "                        Tokens    Ratio   Tokens    Ratio   Diff %\n"
            "------------------------------------------------------------------------------"
            "-----------------\n"
            "news          2000      500       4.00    400       5.00    +20.0%       Ours\n"
            "code          1000      400       2.50    500       2.00    -25.0%       GPT-2\n"
            "math          90        30        3.00    30        3.00    +0.0%        Tie\n");
}

TEST(Comparison, PaintsTheBetterGreenAndTheOtherRed) {
  const std::string table = comparison_table(gpt2(), ours(), /*colored=*/true);
  EXPECT_NE(table.find("\x1b[91m500       4.00    \x1b[0m\x1b[92m400       5.00    \x1b[0m"),
            std::string::npos);
  EXPECT_NE(table.find("\x1b[92m400       2.50    \x1b[0m\x1b[91m500       2.00    \x1b[0m"),
            std::string::npos);
  EXPECT_NE(table.find("30        3.00    30        3.00"), std::string::npos) << "a tie is plain";
}

TEST(EvalTable, ShowsOneTokenizer) {
  EvalResult result = ours();
  result.rows = {row("\u65b0\u95fb", 1234567, 400'000)};  // two columns for each character
  EXPECT_EQ(eval_table(result),
            "Ours: 32,768 tokens in the vocabulary\n\n"
            "Text type            Bytes  Characters      Tokens  Bytes/token  Chars/token"
            "  Tokens/second\n"
            "-------------------------------------------------------------------------------"
            "------------\n"
            "\u65b0\u95fb             1,234,567     617,283     400,000         3.09         1.54"
            "    400,000,000\n");
}

}  // namespace
}  // namespace nanochat
