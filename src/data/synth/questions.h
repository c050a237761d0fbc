/// Questions with answers, and which of them training never sees.
///
/// Held out are
///   facts      one in six of (fact, phrasing of the question, language): the fact itself is told
///              in training, and other phrasings ask for it
///   sums       one in eight pairs of two-digit numbers, whatever the wording or language; small
///              numbers and round ones never, since the steps of other sums need them
///   words      one in eight words to spell or to count letters in
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "data/synth/dice.h"
#include "data/synth/language.h"
#include "data/synth/world.h"

namespace nanochat::synth {

enum class QuestionKind : uint8_t {
  kPeople,
  kTowns,
  kAnimals,
  kFoods,
  kThings,
  kArithmetic,
  kWordProblem,
  kSpelling,
  kCounting,
};
inline constexpr int kQuestionKinds = 9;

/// "people", "word_problem", ...
[[nodiscard]] std::string_view name(QuestionKind kind) noexcept;

enum class Split : uint8_t { kTrain, kHeldOut, kAny };

enum class Operation : uint8_t { kAdd, kSubtract, kMultiply };

/// a and b with a result from 0 to 99.
struct Sum {
  Operation operation;
  int64_t a, b;

  [[nodiscard]] int64_t result() const noexcept;
};

struct Question {
  QuestionKind kind;
  Language language;
  std::string question;
  std::string response;  ///< sentences, with the steps where there are some
  std::string answer;    ///< the word or number that the response must hold
  std::string sum{};     ///< of arithmetic and word problems: "6 × 7"
  std::string python{};  ///< what to ask a calculator: "6*7", "'lamp'.count('a')"; empty: nothing
};

/// The question, and what a base model is to go on with behind prompt().
///   Question: Where does Tom live?        问：汤姆住在哪里？
///   Answer: Tom lives in Millbrook.       答：
///                                         汤姆住在磨溪镇。
/// The Chinese answer has a line of its own, so that no token can span prompt and answer.
[[nodiscard]] std::string prompt(const Question& question);
/// prompt() and the response, without a line break at the end.
[[nodiscard]] std::string prompt_and_response(const Question& question);

/// Whether `response` gives the answer: behind the last "The answer is " (答案是) stands exactly
/// it; a response without these words holds it as a whole word.
[[nodiscard]] bool is_right(const Question& question, std::string_view response);

/// Makes the questions of one world. Draws are functions of the dice; const, so any thread may.
class QuestionMaker {
 public:
  explicit QuestionMaker(const World& world) : world_(world) {}

  [[nodiscard]] const World& world() const noexcept { return world_; }

  [[nodiscard]] Question draw(QuestionKind kind, Language language, Split split, Dice& dice) const;
  /// A question about a fact that is not held out under every phrasing; false: there is none.
  [[nodiscard]] bool about(const Fact& fact, Language language, Split split, Dice& dice,
                           Question& question) const;

  /// Operands of a question.
  [[nodiscard]] Sum draw_sum(Split split, Dice& dice) const;
  [[nodiscard]] std::string draw_word(Split split, Dice& dice) const;

  [[nodiscard]] bool is_held_out(const Fact& fact, Language language, size_t phrasing) const;
  [[nodiscard]] bool is_held_out(const Sum& sum) const;
  [[nodiscard]] bool is_held_out(std::string_view word) const;

 private:
  [[nodiscard]] Question fact_question(const Fact& fact, Language language, size_t phrasing) const;
  [[nodiscard]] Question draw_fact(QuestionKind kind, Language language, Split split,
                                   Dice& dice) const;
  [[nodiscard]] Question draw_arithmetic(Language language, Split split, Dice& dice) const;
  [[nodiscard]] Question draw_word_problem(Language language, Split split, Dice& dice) const;
  [[nodiscard]] Question draw_spelling(Language language, Split split, Dice& dice) const;
  [[nodiscard]] Question draw_counting(Language language, Split split, Dice& dice) const;
  template <typename Value>
  [[nodiscard]] bool belongs(const Value& value, Split split) const;

  const World& world_;
};

/// "37 + 25: 30 + 20 = 50, 7 + 5 = 12, 50 + 12 = 62. The answer is 62."
[[nodiscard]] std::string worked_out(const Sum& sum, Language language);
/// "37 + 25", "6 × 7"
[[nodiscard]] std::string written(const Sum& sum);
/// "37+25", "6*7"
[[nodiscard]] std::string python_of(const Sum& sum);
/// "The answer is 62."
[[nodiscard]] std::string answer_sentence(std::string_view answer, Language language);

}  // namespace nanochat::synth
