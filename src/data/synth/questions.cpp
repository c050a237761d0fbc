#include "data/synth/questions.h"

#include <array>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "core/error.h"
#include "data/synth/numbers.h"
#include "data/synth/problems.h"
#include "data/synth/relations.h"
#include "data/synth/text_template.h"
#include "data/synth/words.h"

namespace nanochat::synth {
namespace {

/// Draws until one is on the right side: more than enough for the rarest.
constexpr int kMaxDraws = 100'000;

/// Items of Part::kHeldOut: one range of numbers for each kind of thing.
constexpr int64_t kFactItems = 0, kSumItems = int64_t{1} << 40, kWordItems = int64_t{2} << 40;

bool is_chosen(const World& world, int64_t item, int64_t one_in) {
  return Dice(world.seed(), Part::kHeldOut, item).below(one_in) == 0;
}

/// FNV-1a, 64 bits.
uint64_t hash_of(std::string_view text) {
  uint64_t hash = 0xcbf29ce484222325;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return hash;
}

bool is_two_digits(int64_t n) { return n > 10 && n < 100 && n % 10 != 0; }

std::vector<EntityKind> subjects_of(QuestionKind kind) {
  switch (kind) {
    case QuestionKind::kPeople:
      return {EntityKind::kChild, EntityKind::kAdult};
    case QuestionKind::kTowns:
      return {EntityKind::kTown};
    case QuestionKind::kAnimals:
      return {EntityKind::kAnimal};
    case QuestionKind::kFoods:
      return {EntityKind::kFood};
    case QuestionKind::kThings:
      return {EntityKind::kThing};
    default:
      return {};
  }
}

QuestionKind kind_of_subject(EntityKind kind) {
  switch (kind) {
    case EntityKind::kTown:
      return QuestionKind::kTowns;
    case EntityKind::kAnimal:
      return QuestionKind::kAnimals;
    case EntityKind::kFood:
      return QuestionKind::kFoods;
    case EntityKind::kThing:
      return QuestionKind::kThings;
    default:
      return QuestionKind::kPeople;
  }
}

std::string_view answer_is(Language language) {
  return language == Language::kEnglish ? "The answer is " : "答案是";
}
std::string_view full_stop(Language language) {
  return language == Language::kEnglish ? "." : "。";
}
std::string_view comma(Language language) { return language == Language::kEnglish ? ", " : "，"; }

std::string with_answer(std::string steps, std::string_view answer, Language language) {
  steps += full_stop(language);
  if (language == Language::kEnglish) steps += ' ';
  return steps + answer_sentence(answer, language);
}

/// The characters of a UTF-8 text.
std::vector<std::string_view> characters_of(std::string_view text) {
  std::vector<std::string_view> characters;
  for (size_t i = 0; i < text.size();) {
    size_t end = i + 1;
    while (end < text.size() && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) ++end;
    characters.push_back(text.substr(i, end - i));
    i = end;
  }
  return characters;
}

/// "a, p, p, l, e"
std::string spelled(std::string_view word, Language language) {
  return fmt::format("{}", fmt::join(characters_of(word), comma(language)));
}

/// "s, t, r (1), a, w, b, e, r (2), r (3), y"; an empty letter numbers all of them.
std::string counted(std::string_view word, std::string_view letter, Language language,
                    int64_t& count) {
  count = 0;
  std::string steps;
  for (const std::string_view character : characters_of(word)) {
    if (!steps.empty()) steps += comma(language);
    steps += character;
    if (!letter.empty() && character != letter) continue;
    ++count;
    steps +=
        language == Language::kEnglish ? fmt::format(" ({})", count) : fmt::format("（{}）", count);
  }
  return steps;
}

/// A word that nobody knows but everybody can spell.
std::string made_up_word(Dice& dice) {
  constexpr std::string_view kOnsets[] = {"b",  "c",  "d",  "f",  "g",  "h",  "j",  "k",  "l",
                                          "m",  "n",  "p",  "r",  "s",  "t",  "v",  "w",  "z",
                                          "br", "st", "tr", "ch", "sh", "pl", "gr", "sp", "kl"};
  constexpr std::string_view kVowels[] = {"a", "e", "i", "o", "u", "ai", "ee", "oo", "ou"};
  constexpr std::string_view kCodas[] = {"",  "",  "",  "n", "r",  "l",  "t",
                                         "m", "s", "d", "k", "ll", "nd", "rt"};
  std::string word;
  const int64_t syllables = dice.between(2, 3);
  for (int64_t i = 0; i < syllables; ++i) {
    word += dice.pick(kOnsets);
    word += dice.pick(kVowels);
    if (i + 1 == syllables || dice.chance(30)) word += dice.pick(kCodas);
  }
  return word;
}

/// Between two and six of a few characters, one of them often.
std::string character_row(Dice& dice) {
  std::array<std::string_view, 3> few{};
  for (std::string_view& character : few) character = dice.pick(chinese_characters());
  std::string row;
  const int64_t n = dice.between(4, 7);
  for (int64_t i = 0; i < n; ++i) row += dice.pick(few);
  return row;
}

/// A word as a whole: no letter or digit on either side. Chinese has no spaces: a part will do.
bool holds_word(std::string_view text, std::string_view word) {
  const auto is_letter = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
  };
  for (size_t at = text.find(word); at != std::string_view::npos; at = text.find(word, at + 1)) {
    const size_t end = at + word.size();
    const bool before = at > 0 && is_letter(text[at - 1]) && is_letter(word.front());
    const bool behind = end < text.size() && is_letter(text[end]) && is_letter(word.back());
    if (!before && !behind) return true;
  }
  return false;
}

std::string in_words(const Sum& sum, Language language) {
  const auto n = static_cast<size_t>(sum.operation);
  constexpr std::string_view kEnglish[] = {" plus ", " minus ", " times "};
  constexpr std::string_view kChinese[] = {"加", "减", "乘"};
  return fmt::format("{}{}{}", number_words(sum.a, language),
                     language == Language::kEnglish ? kEnglish[n] : kChinese[n],
                     number_words(sum.b, language));
}

}  // namespace

std::string_view name(QuestionKind kind) noexcept {
  constexpr std::string_view kNames[] = {"people",       "towns",    "animals",
                                         "foods",        "things",   "arithmetic",
                                         "word_problem", "spelling", "counting"};
  static_assert(std::size(kNames) == kQuestionKinds);
  return kNames[static_cast<size_t>(kind)];
}

std::string prompt(const Question& question) {
  if (question.language == Language::kEnglish) {
    return fmt::format("Question: {}\nAnswer:", question.question);
  }
  return fmt::format("问：{}\n答：\n", question.question);
}

std::string prompt_and_response(const Question& question) {
  return fmt::format("{}{}{}", prompt(question), question.language == Language::kEnglish ? " " : "",
                     question.response);
}

bool is_right(const Question& question, std::string_view response) {
  const std::string_view words = answer_is(question.language);
  const size_t at = response.rfind(words);
  if (at == std::string_view::npos) {
    return question.response.find(words) == std::string::npos &&
           holds_word(response, question.answer);
  }
  const std::string_view given = response.substr(at + words.size());
  return given.starts_with(question.answer) &&
         (given.size() == question.answer.size() ||
          given.substr(question.answer.size()).starts_with(full_stop(question.language)));
}

int64_t Sum::result() const noexcept {
  switch (operation) {
    case Operation::kAdd:
      return a + b;
    case Operation::kSubtract:
      return a - b;
    case Operation::kMultiply:
      break;
  }
  return a * b;
}

std::string written(const Sum& sum) {
  constexpr std::string_view kSigns[] = {"+", "-", "×"};
  return fmt::format("{} {} {}", sum.a, kSigns[static_cast<size_t>(sum.operation)], sum.b);
}

std::string python_of(const Sum& sum) {
  return fmt::format("{}{}{}", sum.a, "+-*"[static_cast<size_t>(sum.operation)], sum.b);
}

std::string answer_sentence(std::string_view answer, Language language) {
  return fmt::format("{}{}{}", answer_is(language), answer, full_stop(language));
}

std::string worked_out(const Sum& sum, Language language) {
  const std::string answer = std::to_string(sum.result());
  std::vector<std::string> steps;
  const auto step = [&steps](int64_t a, Operation operation, int64_t b) {
    const Sum one{operation, a, b};
    steps.push_back(fmt::format("{} = {}", written(one), one.result()));
    return one.result();
  };
  const auto [operation, a, b] = sum;
  switch (operation) {
    case Operation::kAdd:
      if (is_two_digits(a) && is_two_digits(b)) {
        const int64_t tens = step(a / 10 * 10, operation, b / 10 * 10);
        step(tens, operation, step(a % 10, operation, b % 10));
      }
      break;
    case Operation::kSubtract:
      if (is_two_digits(b)) step(step(a, operation, b / 10 * 10), operation, b % 10);
      break;
    case Operation::kMultiply:
      if (is_two_digits(b)) {
        const int64_t tens = step(a, operation, b / 10 * 10);
        step(tens, Operation::kAdd, step(a, operation, b % 10));
      }
      break;
  }
  if (steps.empty()) {
    return with_answer(fmt::format("{} = {}", written(sum), answer), answer, language);
  }
  const std::string_view colon = language == Language::kEnglish ? ": " : "：";
  return with_answer(fmt::format("{}{}{}", written(sum), colon, fmt::join(steps, comma(language))),
                     answer, language);
}

bool QuestionMaker::is_held_out(const Fact& fact, Language language, size_t phrasing) const {
  const int64_t item =
      ((static_cast<int64_t>(fact.subject) * kRelations + static_cast<int64_t>(fact.relation)) * 2 +
       static_cast<int64_t>(language)) *
          16 +
      static_cast<int64_t>(phrasing);
  return is_chosen(world_, kFactItems + item, 6);
}

bool QuestionMaker::is_held_out(const Sum& sum) const {
  const bool is_product = sum.operation == Operation::kMultiply;
  if (!is_two_digits(sum.b) || (!is_product && !is_two_digits(sum.a))) return false;
  // 37 + 25 gives 25 + 37 away.
  const bool turned = sum.operation == Operation::kAdd && sum.a < sum.b;
  const auto [low, high] = turned ? std::pair(sum.b, sum.a) : std::pair(sum.a, sum.b);
  const int64_t item = (static_cast<int64_t>(sum.operation) * 100 + low) * 100 + high;
  return is_chosen(world_, kSumItems + item, 8);
}

bool QuestionMaker::is_held_out(std::string_view word) const {
  return is_chosen(world_, kWordItems + static_cast<int64_t>(hash_of(word) >> 24), 8);
}

template <typename Value>
bool QuestionMaker::belongs(const Value& value, Split split) const {
  return split == Split::kAny || is_held_out(value) == (split == Split::kHeldOut);
}

Question QuestionMaker::fact_question(const Fact& fact, Language language, size_t phrasing) const {
  const Phrases& phrases = relation(fact.relation).phrases(language);
  Scope scope(world_, language);
  scope.bind("s", fact.subject).bind("o", fact.object);
  Dice no_choices(0, Part::kQuestions, 0);
  return {kind_of_subject(world_[fact.subject].kind), language,
          expanded(phrases.questions[phrasing], scope, no_choices),
          expanded(phrases.statements[0], scope, no_choices), world_[fact.object].name(language)};
}

bool QuestionMaker::about(const Fact& fact, Language language, Split split, Dice& dice,
                          Question& question) const {
  const size_t n = relation(fact.relation).phrases(language).questions.size();
  const auto first = static_cast<size_t>(dice.below(static_cast<int64_t>(n)));
  for (size_t i = 0; i < n; ++i) {
    const size_t phrasing = (first + i) % n;
    if (split == Split::kAny ||
        is_held_out(fact, language, phrasing) == (split == Split::kHeldOut)) {
      question = fact_question(fact, language, phrasing);
      return true;
    }
  }
  return false;
}

Question QuestionMaker::draw_fact(QuestionKind kind, Language language, Split split,
                                  Dice& dice) const {
  const std::vector<EntityKind> kinds = subjects_of(kind);
  for (int i = 0; i < kMaxDraws; ++i) {
    const int subject = dice.pick(world_.of_kind(dice.pick(kinds)));
    const auto id = static_cast<RelationId>(dice.below(kRelations));
    const int object = world_.object(subject, id);
    Question question;
    if (object >= 0 && about({subject, id, object}, language, split, dice, question)) {
      return question;
    }
  }
  NC_CHECK(false, "no {} question", name(kind));
  return {};
}

Sum QuestionMaker::draw_sum(Split split, Dice& dice) const {
  for (int i = 0; i < kMaxDraws; ++i) {
    Sum sum{static_cast<Operation>(dice.below(3)), 0, 0};
    if (sum.operation == Operation::kMultiply) {
      sum.a = dice.between(2, 9);
      sum.b = dice.chance(50) ? dice.between(2, 10) : dice.between(2, 99 / sum.a);
    } else {
      const int64_t largest = dice.chance(25) ? 10 : 99;
      sum.a = dice.between(1, largest);
      sum.b = dice.between(1, dice.chance(25) ? 9 : largest);
    }
    if (sum.result() >= 0 && sum.result() <= 99 && belongs(sum, split)) return sum;
  }
  NC_CHECK(false, "no sum");
  return {};
}

std::string QuestionMaker::draw_word(Split split, Dice& dice) const {
  for (int i = 0; i < kMaxDraws; ++i) {
    std::string word =
        dice.chance(60) ? std::string(dice.pick(spelling_words())) : made_up_word(dice);
    if (belongs(word, split)) return word;
  }
  NC_CHECK(false, "no word");
  return {};
}

Question QuestionMaker::draw_arithmetic(Language language, Split split, Dice& dice) const {
  const Sum sum = draw_sum(split, dice);
  const std::string text = dice.chance(70) ? written(sum) : in_words(sum, language);
  Scope scope(world_, language);
  scope.bind_text("sum", text);
  return {QuestionKind::kArithmetic,
          language,
          expanded(dice.pick(sum_questions(language)), scope, dice),
          worked_out(sum, language),
          std::to_string(sum.result()),
          written(sum),
          python_of(sum)};
}

Question QuestionMaker::draw_word_problem(Language language, Split split, Dice& dice) const {
  Sum sum = draw_sum(split, dice);
  while (sum.a < 2 || sum.b < 2) sum = draw_sum(split, dice);  // "1 apples"
  const int a = dice.pick(world_.of_kind(EntityKind::kChild));
  const std::string n = std::to_string(sum.a);
  const std::string k = std::to_string(sum.b);
  Scope scope(world_, language);
  const int b = world_.object(a, RelationId::kFriend);
  scope.bind("a", a).bind("b", b).bind_they("ab", a, b);
  scope.bind("x", dice.pick(world_.of_kind(EntityKind::kThing)));
  scope.bind_text("n", n).bind_text("k", k);
  return {QuestionKind::kWordProblem,
          language,
          expanded(dice.pick(word_problems(sum.operation, language)), scope, dice),
          worked_out(sum, language),
          std::to_string(sum.result()),
          written(sum),
          python_of(sum)};
}

Question QuestionMaker::draw_spelling(Language language, Split split, Dice& dice) const {
  Question question{QuestionKind::kSpelling, language, {}, {}, {}};
  Scope scope(world_, language);
  if (language == Language::kChinese && dice.chance(50)) {
    std::string word;
    do {
      word = dice.chance(60) ? std::string(dice.pick(chinese_words())) : character_row(dice);
    } while (!belongs(std::string_view(word), split));
    scope.bind_text("w", word);
    question.question = expanded(dice.pick(character_split_questions()), scope, dice);
    question.answer = spelled(word, language);
    question.response = fmt::format("“{}”拆开是：{}。", word, question.answer);
    return question;
  }
  const std::string word = draw_word(split, dice);
  scope.bind_text("w", word);
  const LetterQuestions& ask = letter_questions(language);
  const std::string letters = spelled(word, language);
  const std::string spelling = language == Language::kEnglish
                                   ? fmt::format("The word '{}' is spelled {}", word, letters)
                                   : fmt::format("单词“{}”的拼写是：{}", word, letters);
  if (dice.chance(60)) {
    question.question = expanded(dice.pick(ask.spell), scope, dice);
    question.response = fmt::format("{}{}", spelling, full_stop(language));
    question.answer = letters;
    return question;
  }
  const bool is_first = dice.chance(50);
  question.question = expanded(dice.pick(is_first ? ask.first : ask.last), scope, dice);
  question.answer = std::string(1, is_first ? word.front() : word.back());
  question.response = with_answer(spelling, question.answer, language);
  return question;
}

Question QuestionMaker::draw_counting(Language language, Split split, Dice& dice) const {
  Question question{QuestionKind::kCounting, language, {}, {}, {}};
  Scope scope(world_, language);
  std::string word, letter;
  std::span<const std::string_view> asks;
  if (language == Language::kChinese && dice.chance(50)) {
    do word = character_row(dice);
    while (!belongs(std::string_view(word), split));
    letter = dice.pick(characters_of(word));
    asks = character_count_questions();
  } else {
    word = draw_word(split, dice);
    if (dice.chance(25)) {
      asks = letter_questions(language).length;
    } else {
      // Mostly a letter that is there.
      letter = dice.chance(85) ? std::string(1, dice.pick(word))
                               : std::string(1, static_cast<char>('a' + dice.below(26)));
      asks = letter_questions(language).count;
    }
  }
  scope.bind_text("w", word).bind_text("l", letter);
  question.question = expanded(dice.pick(asks), scope, dice);
  int64_t count = 0;
  std::string steps = counted(word, letter, language, count);
  question.answer = std::to_string(count);
  question.response = with_answer(std::move(steps), question.answer, language);
  // The calculator reads ASCII only.
  if (letter.size() == 1) question.python = fmt::format("'{}'.count('{}')", word, letter);
  return question;
}

Question QuestionMaker::draw(QuestionKind kind, Language language, Split split, Dice& dice) const {
  switch (kind) {
    case QuestionKind::kArithmetic:
      return draw_arithmetic(language, split, dice);
    case QuestionKind::kWordProblem:
      return draw_word_problem(language, split, dice);
    case QuestionKind::kSpelling:
      return draw_spelling(language, split, dice);
    case QuestionKind::kCounting:
      return draw_counting(language, split, dice);
    default:
      return draw_fact(kind, language, split, dice);
  }
}

}  // namespace nanochat::synth
