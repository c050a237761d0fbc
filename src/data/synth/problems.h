/// The wording of questions about numbers and letters.
#pragma once

#include <span>
#include <string_view>

#include "data/synth/language.h"
#include "data/synth/questions.h"

namespace nanochat::synth {

/// Around a sum {sum}, in digits or in words. Each begins with a word: else "3 + 4" would be asked
/// inside "13 + 4".
[[nodiscard]] std::span<const std::string_view> sum_questions(Language language) noexcept;

/// Word problems: people a and b, a thing x, numbers n and k; in Chinese ab
/// is "they", a and b.
[[nodiscard]] std::span<const std::string_view> word_problems(Operation operation,
                                                              Language language) noexcept;

/// About the word {w}; {l} is a letter.
struct LetterQuestions {
  std::span<const std::string_view> spell, first, last, count, length;
};
[[nodiscard]] const LetterQuestions& letter_questions(Language language) noexcept;

/// Chinese only, about a row of characters {w} and one of them {l}.
[[nodiscard]] std::span<const std::string_view> character_split_questions() noexcept;
[[nodiscard]] std::span<const std::string_view> character_count_questions() noexcept;

}  // namespace nanochat::synth
