#include "data/synth/numbers.h"

#include <string_view>

#include "core/error.h"

namespace nanochat::synth {
namespace {

constexpr std::string_view kSmall[] = {"zero",    "one",     "two",       "three",    "four",
                                       "five",    "six",     "seven",     "eight",    "nine",
                                       "ten",     "eleven",  "twelve",    "thirteen", "fourteen",
                                       "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"};
constexpr std::string_view kTens[] = {"",      "",      "twenty",  "thirty", "forty",
                                      "fifty", "sixty", "seventy", "eighty", "ninety"};
constexpr std::string_view kDigits[] = {"零", "一", "二", "三", "四", "五", "六", "七", "八", "九"};

std::string english(int64_t n) {
  if (n == 100) return "one hundred";
  if (n < 20) return std::string(kSmall[n]);
  std::string words(kTens[n / 10]);
  if (n % 10 != 0) words.append("-").append(kSmall[n % 10]);
  return words;
}

std::string chinese(int64_t n) {
  if (n == 100) return "一百";
  if (n < 10) return std::string(kDigits[n]);
  std::string words;
  if (n >= 20) words += kDigits[n / 10];
  words += "十";
  if (n % 10 != 0) words += kDigits[n % 10];
  return words;
}

}  // namespace

std::string number_words(int64_t n, Language language) {
  NC_CHECK(n >= 0 && n <= 100, "no words for {}", n);
  return language == Language::kEnglish ? english(n) : chinese(n);
}

}  // namespace nanochat::synth
