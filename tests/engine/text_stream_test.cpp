#include "engine/text_stream.h"

#include <random>

#include <gtest/gtest.h>

#include "tokenizer/small_vocabulary.h"

namespace nanochat {
namespace {

const Tokenizer& tokenizer() {
  static const Tokenizer t(test::small_vocabulary());
  return t;
}

/// What is shown after each byte, and at the end.
std::vector<std::string> shown(const std::string& text, std::vector<std::string> stops) {
  TextStream stream(tokenizer(), std::move(stops));
  std::vector<std::string> parts;
  for (const char c : text) parts.push_back(stream.push(static_cast<uint8_t>(c)));
  parts.push_back(stream.finish());
  return parts;
}
std::string joined(const std::vector<std::string>& parts) {
  std::string all;
  for (const std::string& part : parts) all += part;
  return all;
}

TEST(TextStream, TextComesAtOnceUnlessAStopStringMayHaveBegun) {
  EXPECT_EQ(shown("abc", {}), (std::vector<std::string>{"a", "b", "c", ""}));
  EXPECT_EQ(shown("axyb", {"xyz"}), (std::vector<std::string>{"a", "", "", "xyb", ""}));
  EXPECT_EQ(shown("axyz!", {"xyz"}), (std::vector<std::string>{"a", "", "", "", "", ""}));
  EXPECT_EQ(shown("aab", {"aab"}), (std::vector<std::string>{"", "", "", ""}));
  EXPECT_EQ(shown("aaab", {"aab"}), (std::vector<std::string>{"", "", "a", "", ""}));
  EXPECT_EQ(shown("ax", {"xyz"}), (std::vector<std::string>{"a", "", "x"}));
}

TEST(TextStream, TheStopStringThatIsCompleteFirstCounts) {
  EXPECT_EQ(joined(shown("one two three", {"three", "two"})), "one ");
  EXPECT_EQ(joined(shown("abcabd", {"abd", "cab"})), "ab");
}

TEST(TextStream, CharactersAreWholeAndSpecialTokensSilent) {
  EXPECT_EQ(shown("\xe4\xbd\xa0!", {}),
            (std::vector<std::string>{"", "", "\xe4\xbd\xa0", "!", ""}));
  TextStream stream(tokenizer(), {});
  EXPECT_EQ(stream.push(0xe4), "");
  EXPECT_EQ(stream.push(tokenizer().special_id("<|python_start|>")), "\xef\xbf\xbd");
  EXPECT_EQ(stream.push('x'), "x");
  EXPECT_EQ(stream.push(0xe4), "");
  EXPECT_EQ(stream.finish(), "\xef\xbf\xbd");
}

TEST(TextStream, WhatIsShownIsTheTextUpToTheStopString) {
  std::mt19937 random(1);
  for (int i = 0; i < 2000; ++i) {
    std::string text;
    for (int j = 0; j < 30; ++j) text += "aab"[random() % 3];
    std::vector<std::string> stops;
    for (int j = 0; j < 2; ++j) {
      std::string stop;
      for (size_t k = 0; k < 1 + random() % 6; ++k) stop += "ab"[random() % 2];
      stops.push_back(stop);
    }
    // The one that is complete first counts; of those complete at once, the longest.
    size_t end = text.size();
    for (size_t n = 0; n <= text.size() && end == text.size(); ++n) {
      for (const std::string& stop : stops) {
        if (std::string_view(text).substr(0, n).ends_with(stop))
          end = std::min(end, n - stop.size());
      }
    }
    EXPECT_EQ(joined(shown(text, stops)), text.substr(0, end)) << text;
  }
}

}  // namespace
}  // namespace nanochat
