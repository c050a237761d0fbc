#include "data/synth/synth.h"

#include <algorithm>
#include <fstream>
#include <functional>
#include <map>
#include <regex>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "core/parallel.h"
#include "data/document_source.h"
#include "data/synth/conversations.h"
#include "data/synth/documents.h"
#include "data/synth/numbers.h"
#include "data/synth/questions.h"
#include "data/synth/relations.h"
#include "data/synth/stories.h"
#include "data/synth/text_template.h"
#include "data/synth/world.h"
#include "support/temporary_folder.h"
#include "tokenizer/utf8.h"

namespace nanochat::synth {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using test::TemporaryFolder;

constexpr Language kLanguages[] = {Language::kEnglish, Language::kChinese};
constexpr uint64_t kSeed = 7;

const World& world() {
  static const World kWorld(kSeed);
  return kWorld;
}
const QuestionMaker& questions() {
  static const QuestionMaker kQuestions(world());
  return kQuestions;
}
const DocumentMaker& documents() {
  static const DocumentMaker kDocuments(world(), questions());
  return kDocuments;
}

std::string bytes_of(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file.is_open()) << path;
  return {std::istreambuf_iterator<char>(file), {}};
}

std::vector<std::string> lines_of(const std::string& bytes) {
  std::vector<std::string> lines;
  for (size_t at = 0; at < bytes.size();) {
    const size_t end = bytes.find('\n', at);
    lines.push_back(bytes.substr(at, end - at));
    at = end + 1;
  }
  return lines;
}

bool is_chinese_character(char32_t c) { return c >= 0x4E00 && c <= 0x9FFF; }

/// What is wrong with a text of this language; empty: nothing.
std::string fault_of(std::string_view text, Language language) {
  if (utf8::find_invalid(text) != text.size()) return "not UTF-8";
  if (text.empty() || text.back() == ' ' || text.back() == '\n') return "ends badly";
  for (const char* bad :
       {"{",    "}",    "[",   "]",    "|",    "  ",   " .",   " ,",    "..",    "。。", "，，",
        "，。", "\n\n", " \n", "。，", ".\".", "!\".", "?\".", "。”。", "！”。", "？”。"}) {
    if (text.find(bad) != std::string_view::npos) return fmt::format("holds '{}'", bad);
  }
  for (size_t at = 0; at < text.size();) {
    const utf8::Character c = utf8::decode(text, at);
    at += c.length;
    const bool is_wide = is_chinese_character(c.code_point) ||
                         (c.code_point >= 0x3000 && c.code_point < 0x3100) ||
                         c.code_point >= 0xFF00;
    if (language == Language::kEnglish && is_wide) return "Chinese in English";
    if (language == Language::kChinese && c.code_point < 0x80 &&
        std::string_view(".,;:?!\"'()").find(static_cast<char>(c.code_point)) !=
            std::string_view::npos) {
      return fmt::format("'{}' in Chinese", static_cast<char>(c.code_point));
    }
  }
  return "";
}

std::vector<Document> many_documents(int64_t n, Split split = Split::kTrain) {
  std::vector<Document> result;
  for (int64_t i = 0; i < n; ++i) {
    Dice dice(kSeed, Part::kDocument, i);
    result.push_back(documents().draw(kLanguages[i % 2], split, dice));
  }
  return result;
}

TEST(Dice, DrawsAreAFunctionOfSeedPartAndItem) {
  const auto draws = [](uint64_t seed, Part part, int64_t item) {
    Dice dice(seed, part, item);
    std::vector<int64_t> values;
    for (int i = 0; i < 9; ++i) values.push_back(dice.below(1'000'000));
    return values;
  };
  EXPECT_EQ(draws(1, Part::kDocument, 5), draws(1, Part::kDocument, 5));
  EXPECT_NE(draws(1, Part::kDocument, 5), draws(2, Part::kDocument, 5));
  EXPECT_NE(draws(1, Part::kDocument, 5), draws(1, Part::kConversation, 5));
  EXPECT_NE(draws(1, Part::kDocument, 5), draws(1, Part::kDocument, 5 + (int64_t{1} << 32)));
}

TEST(Dice, ValuesThatEverySeedMeansStayTheSame) {
  Dice dice(1, Part::kDocument, 0);
  EXPECT_EQ(dice.below(1000), 225);
  EXPECT_EQ(dice.below(1000), 344);
}

TEST(TextTemplate, FillsSlotsAndFollowsRelations) {
  const int child = world().of_kind(EntityKind::kChild)[0];
  const Entity& friend_of = world()[world().object(child, RelationId::kFriend)];
  Dice dice(1, Part::kDocument, 0);
  Scope scope(world(), Language::kEnglish);
  scope.bind("a", child).bind_text("w", "word");
  EXPECT_EQ(expanded("{a}, {w}: {a.friend}", scope, dice),
            fmt::format("{}, word: {}", world()[child].en, friend_of.en));
  EXPECT_EQ(expanded("{a.pet.an}", scope, dice),
            world()[world().object(child, RelationId::kPet)].an);
}

TEST(TextTemplate, MakesOneOfTheChoicesAlsoNested) {
  const Scope scope(world(), Language::kEnglish);
  std::set<std::string> seen;
  for (int i = 0; i < 200; ++i) {
    Dice dice(1, Part::kDocument, i);
    seen.insert(expanded("x[a|b[1|2]|]y", scope, dice));
  }
  EXPECT_EQ(seen, (std::set<std::string>{"xay", "xb1y", "xb2y", "xy"}));
}

TEST(World, IsLargeAndFullOfFacts) {
  EXPECT_GE(world().entities().size(), 300u);
  EXPECT_GE(world().facts().size(), 1300u);
  std::set<RelationId> used;
  for (const Fact& fact : world().facts()) used.insert(fact.relation);
  EXPECT_EQ(std::ssize(used), kRelations);
}

TEST(World, NoNameIsTheEndOfAnother) {
  // Then a question about the one would stand inside a question about the other.
  for (const Language language : kLanguages) {
    std::vector<std::string> names;
    for (const EntityKind kind : {EntityKind::kChild, EntityKind::kAdult, EntityKind::kTown,
                                  EntityKind::kAnimal, EntityKind::kFood, EntityKind::kThing}) {
      for (const int index : world().of_kind(kind)) names.push_back(world()[index].name(language));
    }
    for (size_t i = 0; i < names.size(); ++i) {
      for (size_t k = 0; k < names.size(); ++k) {
        if (i == k) continue;
        if (language == Language::kChinese) {
          EXPECT_FALSE(names[i].ends_with(names[k])) << names[i] << " " << names[k];
        } else {
          EXPECT_NE(names[i], names[k]);
        }
      }
    }
  }
}

TEST(World, FriendsAreEachOthersAndChildrenLiveWithTheirMothers) {
  for (const int child : world().of_kind(EntityKind::kChild)) {
    const int other = world().object(child, RelationId::kFriend);
    EXPECT_EQ(world().object(other, RelationId::kFriend), child);
    EXPECT_NE(other, child);
    const int mother = world().object(child, RelationId::kMother);
    EXPECT_EQ(world()[mother].gender, Gender::kFemale);
    EXPECT_EQ(world().object(mother, RelationId::kTown), world().object(child, RelationId::kTown));
  }
}

TEST(World, AnotherSeedIsAnotherWorld) {
  const World other(kSeed + 1);
  const World same(kSeed);
  int differ = 0;
  ASSERT_EQ(same.facts().size(), world().facts().size());
  for (size_t i = 0; i < same.facts().size(); ++i) {
    EXPECT_EQ(same.facts()[i].object, world().facts()[i].object);
    differ += other.facts()[i].object != world().facts()[i].object ? 1 : 0;
  }
  EXPECT_GT(differ, 500);
}

TEST(Relations, EachHasFourOrMoreStatementsAndQuestions) {
  for (int i = 0; i < kRelations; ++i) {
    for (const Language language : kLanguages) {
      const Phrases& phrases = relation(static_cast<RelationId>(i)).phrases(language);
      EXPECT_GE(phrases.statements.size(), 4u);
      EXPECT_GE(phrases.questions.size(), 4u);
      EXPECT_LT(phrases.questions.size(), 16u);  // what is_held_out numbers them by
    }
  }
}

TEST(Relations, EverySentenceOfEveryFactReadsWell) {
  Dice dice(1, Part::kDocument, 0);
  for (const Fact& fact : world().facts()) {
    for (const Language language : kLanguages) {
      Scope scope(world(), language);
      scope.bind("s", fact.subject).bind("o", fact.object);
      const Phrases& phrases = relation(fact.relation).phrases(language);
      for (const auto& group : {phrases.statements, phrases.questions}) {
        for (const std::string_view text : group) {
          const std::string sentence = expanded(text, scope, dice);
          EXPECT_EQ(fault_of(sentence, language), "") << sentence;
          if (language == Language::kEnglish) {
            EXPECT_TRUE(sentence[0] < 'a' || sentence[0] > 'z') << sentence;
          }
        }
      }
    }
  }
}

TEST(Relations, AllQuestionsAreDifferentAndNoneIsPartOfAnother) {
  for (const Language language : kLanguages) {
    std::map<std::string, int> asked;
    std::string all;
    Dice dice(1, Part::kDocument, 0);
    for (const Fact& fact : world().facts()) {
      Scope scope(world(), language);
      scope.bind("s", fact.subject).bind("o", fact.object);
      for (const std::string_view text : relation(fact.relation).phrases(language).questions) {
        const std::string question = expanded(text, scope, dice);
        EXPECT_EQ(++asked[question], 1) << question;
        all += question + '\n';
      }
    }
    size_t n = 0;
    for (const auto& [question, times] : asked) {
      if (++n % 7 != 0) continue;  // a sample: each is a search through all
      const size_t at = all.find(question);
      EXPECT_EQ(all.find(question, at + 1), std::string::npos) << question;
    }
  }
}

TEST(Numbers, AreSpelledInWords) {
  EXPECT_EQ(number_words(0, Language::kEnglish), "zero");
  EXPECT_EQ(number_words(13, Language::kEnglish), "thirteen");
  EXPECT_EQ(number_words(40, Language::kEnglish), "forty");
  EXPECT_EQ(number_words(99, Language::kEnglish), "ninety-nine");
  EXPECT_EQ(number_words(10, Language::kChinese), "十");
  EXPECT_EQ(number_words(12, Language::kChinese), "十二");
  EXPECT_EQ(number_words(70, Language::kChinese), "七十");
  EXPECT_EQ(number_words(99, Language::kChinese), "九十九");
}

TEST(Questions, SumsAreWorkedOutInSteps) {
  const auto work = [](Operation operation, int64_t a, int64_t b) {
    return worked_out({operation, a, b}, Language::kEnglish);
  };
  EXPECT_EQ(work(Operation::kAdd, 37, 25),
            "37 + 25: 30 + 20 = 50, 7 + 5 = 12, 50 + 12 = 62. The answer is 62.");
  EXPECT_EQ(work(Operation::kAdd, 3, 4), "3 + 4 = 7. The answer is 7.");
  EXPECT_EQ(work(Operation::kSubtract, 62, 25),
            "62 - 25: 62 - 20 = 42, 42 - 5 = 37. The answer is 37.");
  EXPECT_EQ(work(Operation::kMultiply, 7, 14),
            "7 × 14: 7 × 10 = 70, 7 × 4 = 28, 70 + 28 = 98. The answer is 98.");
  EXPECT_EQ(worked_out({Operation::kAdd, 3, 4}, Language::kChinese), "3 + 4 = 7。答案是7。");
}

/// Every "a + b = c" in any text is true, and none of those sums is held out where it must not be.
void check_sums(const std::string& text, bool may_be_held_out) {
  static const std::regex kEquation(R"((\d+) (\+|-|×) (\d+) = (\d+))");
  for (std::sregex_iterator at(text.begin(), text.end(), kEquation), end; at != end; ++at) {
    const int64_t a = std::stoll((*at)[1]), b = std::stoll((*at)[3]), c = std::stoll((*at)[4]);
    const std::string sign = (*at)[2];
    EXPECT_EQ(sign == "+" ? a + b : sign == "-" ? a - b : a * b, c) << at->str();
    if (may_be_held_out) continue;
    const Operation operation = sign == "+"   ? Operation::kAdd
                                : sign == "-" ? Operation::kSubtract
                                              : Operation::kMultiply;
    EXPECT_FALSE(questions().is_held_out(Sum{operation, a, b})) << at->str();
  }
}

TEST(Questions, TheAnswerOfASumFollowsFromTheQuestion) {
  int in_digits = 0;
  for (int i = 0; i < 2000; ++i) {
    Dice dice(kSeed, Part::kQuestions, i);
    const Question question =
        questions().draw(QuestionKind::kArithmetic, kLanguages[i % 2], Split::kAny, dice);
    check_sums(question.response, true);
    static const std::regex kSum(R"((\d+) (\+|-|×) (\d+))");
    std::smatch match;
    if (!std::regex_search(question.question, match, kSum)) continue;
    ++in_digits;
    const int64_t a = std::stoll(match[1]), b = std::stoll(match[3]);
    const int64_t result = match[2] == "+" ? a + b : match[2] == "-" ? a - b : a * b;
    EXPECT_EQ(question.answer, std::to_string(result)) << question.question;
    EXPECT_TRUE(is_right(question, question.response));
    EXPECT_GE(result, 0);
    EXPECT_LE(result, 99);
  }
  EXPECT_GT(in_digits, 1000);
}

TEST(Questions, WordProblemsComeToWhatTheirNumbersSay) {
  for (int i = 0; i < 1000; ++i) {
    Dice dice(kSeed, Part::kQuestions, i);
    const Question question =
        questions().draw(QuestionKind::kWordProblem, kLanguages[i % 2], Split::kAny, dice);
    static const std::regex kNumber(R"(\d+)");
    std::vector<int64_t> numbers;
    for (std::sregex_iterator at(question.question.begin(), question.question.end(), kNumber), end;
         at != end; ++at) {
      numbers.push_back(std::stoll(at->str()));
    }
    ASSERT_EQ(numbers.size(), 2u) << question.question;
    const auto [a, b] = std::pair(numbers[0], numbers[1]);
    const int64_t answer = std::stoll(question.answer);
    EXPECT_TRUE(answer == a + b || answer == a - b || answer == a * b) << question.question;
    EXPECT_EQ(fault_of(question.question, question.language), "") << question.question;
    check_sums(question.response, true);
  }
}

TEST(Questions, WordsAreSpelledAndLettersCountedRightly) {
  for (int i = 0; i < 3000; ++i) {
    Dice dice(kSeed, Part::kQuestions, i);
    const Language language = kLanguages[i % 2];
    const bool spells = i % 4 < 2;
    const Question question = questions().draw(
        spells ? QuestionKind::kSpelling : QuestionKind::kCounting, language, Split::kAny, dice);
    EXPECT_TRUE(is_right(question, question.response)) << question.response;
    // What stands in quotes first or last is the word; a Chinese letter may be quoted too, alone.
    const bool is_english = language == Language::kEnglish;
    const std::regex kQuoted(is_english ? "'([a-z]+)'" : "“(.+?)”");
    std::string word, letter;
    for (std::sregex_iterator at(question.question.begin(), question.question.end(), kQuoted), end;
         at != end; ++at) {
      if (utf8::count((*at)[1].str()) > 1) word = (*at)[1];
    }
    ASSERT_FALSE(word.empty()) << question.question;
    // The response without what numbers it: letters in order are the word.
    std::string rest = std::regex_replace(question.response, std::regex(R"( \(\d+\)|（\d+）)"), "");
    std::string expected;
    for (size_t at = 0; at < word.size(); at += utf8::decode(word, at).length) {
      if (!expected.empty()) expected += is_english ? ", " : "，";
      expected += word.substr(at, utf8::decode(word, at).length);
    }
    EXPECT_NE(rest.find(expected), std::string::npos) << question.response << " " << expected;
    if (spells) continue;
    // The count is that of some letter, or of all.
    std::set<std::string> possible{std::to_string(utf8::count(word)), "0"};
    for (size_t at = 0; at < word.size(); at += utf8::decode(word, at).length) {
      const std::string one = word.substr(at, utf8::decode(word, at).length);
      int n = 0;
      for (size_t k = 0; k < word.size(); k += utf8::decode(word, k).length) {
        n += word.compare(k, one.size(), one) == 0 ? 1 : 0;
      }
      possible.insert(std::to_string(n));
    }
    EXPECT_TRUE(possible.contains(question.answer)) << question.question << question.response;
  }
}

TEST(Questions, ALetterIsCountedAsOftenAsItIsThere) {
  int counted = 0;
  for (int i = 0; i < 600; ++i) {
    Dice dice(kSeed, Part::kQuestions, i);
    const Question question =
        questions().draw(QuestionKind::kCounting, Language::kEnglish, Split::kAny, dice);
    std::smatch match;
    static const std::regex kManyAre("How many ([a-z]) are in '([a-z]+)'\\?");
    if (!std::regex_match(question.question, match, kManyAre)) continue;
    const std::string word = match[2];
    EXPECT_EQ(question.answer, std::to_string(std::ranges::count(word, match[1].str()[0])));
    ++counted;
  }
  EXPECT_GT(counted, 50);
}

TEST(Questions, FactsAreThoseOfTheWorld) {
  for (const QuestionKind kind :
       {QuestionKind::kPeople, QuestionKind::kTowns, QuestionKind::kAnimals, QuestionKind::kFoods,
        QuestionKind::kThings}) {
    for (int i = 0; i < 200; ++i) {
      Dice dice(kSeed, Part::kQuestions, i);
      const Question question = questions().draw(kind, kLanguages[i % 2], Split::kAny, dice);
      EXPECT_EQ(question.kind, kind);
      EXPECT_TRUE(is_right(question, question.response)) << question.response;
      EXPECT_EQ(fault_of(question.question, question.language), "") << question.question;
      EXPECT_EQ(fault_of(question.response, question.language), "") << question.response;
    }
  }
  const int tom = world().of_kind(EntityKind::kChild)[0];
  const Entity& town = world()[world().object(tom, RelationId::kTown)];
  Question question;
  Dice dice(1, Part::kQuestions, 0);
  ASSERT_TRUE(questions().about({tom, RelationId::kTown, world().object(tom, RelationId::kTown)},
                                Language::kEnglish, Split::kAny, dice, question));
  EXPECT_EQ(question.response, fmt::format("{} lives in {}.", world()[tom].en, town.en));
}

TEST(Questions, ARightAnswerIsToldFromAWrongOne) {
  const Question sum{QuestionKind::kArithmetic, Language::kEnglish, "What is 3 + 4?",
                     "3 + 4 = 7. The answer is 7.", "7"};
  EXPECT_TRUE(is_right(sum, "The answer is 7."));
  EXPECT_TRUE(is_right(sum, " 3 + 4 = 8. The answer is 7.\nQuestion:"));
  EXPECT_FALSE(is_right(sum, "The answer is 77."));
  EXPECT_FALSE(is_right(sum, "3 + 4 = 7. The answer is 8."));
  EXPECT_FALSE(is_right(sum, "7"));
  const Question fact{QuestionKind::kPeople, Language::kEnglish, "How old is Tom?",
                      "Tom is 7 years old.", "7"};
  EXPECT_TRUE(is_right(fact, "Tom is 7 years old."));
  EXPECT_FALSE(is_right(fact, "Tom is 17 years old."));
  EXPECT_FALSE(is_right(fact, "Tom is 70 years old."));
  EXPECT_FALSE(is_right(fact, ""));
}

TEST(Questions, AShareOfEachKindIsHeldOut) {
  int64_t facts = 0, held_facts = 0, sums = 0, held_sums = 0;
  for (const Fact& fact : world().facts()) {
    for (size_t phrasing = 0; phrasing < 4; ++phrasing) {
      ++facts;
      held_facts += questions().is_held_out(fact, Language::kEnglish, phrasing) ? 1 : 0;
    }
  }
  for (int64_t a = 1; a < 100; ++a) {
    for (int64_t b = 1; b < 100; ++b) {
      const Sum sum{Operation::kAdd, a, b}, turned{Operation::kAdd, b, a};
      EXPECT_EQ(questions().is_held_out(sum), questions().is_held_out(turned));
      if (a < 11 || b < 11) {
        EXPECT_FALSE(questions().is_held_out(sum));
      }
      if (a < 11 || b < 11 || a % 10 == 0 || b % 10 == 0) continue;
      ++sums;
      held_sums += questions().is_held_out(sum) ? 1 : 0;
    }
  }
  EXPECT_NEAR(static_cast<double>(held_facts) / static_cast<double>(facts), 1.0 / 6, 0.02);
  EXPECT_NEAR(static_cast<double>(held_sums) / static_cast<double>(sums), 1.0 / 8, 0.02);
}

TEST(Stories, ThereAreManyAndEachTellsItselfWithoutAFault) {
  for (const Language language : kLanguages) EXPECT_GE(stories(language).size(), 10u);
  for (int i = 0; i < 3000; ++i) {
    Dice dice(kSeed, Part::kDocument, i);
    const Document story =
        documents().draw(DocumentKind::kStory, kLanguages[i % 2], Split::kTrain, dice);
    EXPECT_EQ(fault_of(story.text, story.language), "") << story.text;
  }
}

TEST(Documents, OfEveryKindReadWell) {
  for (int kind = 0; kind < kDocumentKinds; ++kind) {
    for (int i = 0; i < 300; ++i) {
      Dice dice(kSeed, Part::kDocument, i);
      const Document document =
          documents().draw(static_cast<DocumentKind>(kind), kLanguages[i % 2], Split::kTrain, dice);
      std::string text = document.text;
      EXPECT_EQ(fault_of(text, document.language), "") << name(document.kind) << ": " << text;
      check_sums(text, false);
    }
  }
}

TEST(Documents, AreHardlyEverTheSame) {
  std::set<std::string> seen;
  const std::vector<Document> all = many_documents(20'000);
  for (const Document& document : all) seen.insert(document.text);
  EXPECT_GT(static_cast<double>(seen.size()), 0.98 * static_cast<double>(all.size()));
}

TEST(Documents, OfTrainingHoldNoQuestionThatIsHeldOut) {
  std::string all;
  for (const Document& document : many_documents(4000)) all += document.text + '\n';
  for (int64_t i = 0; i < 2000; ++i) {
    Dice dice(kSeed, Part::kConversation, i);
    for (const Message& message :
         draw_conversation(questions(), kLanguages[i % 2], Split::kTrain, dice)) {
      all += message.content + '\n';
    }
  }
  int n = 0;
  for (int kind = 0; kind < kQuestionKinds; ++kind) {
    for (int i = 0; i < 60; ++i) {
      Dice dice(kSeed, Part::kQuestions, i);
      const Question question = questions().draw(static_cast<QuestionKind>(kind), kLanguages[i % 2],
                                                 Split::kHeldOut, dice);
      EXPECT_EQ(all.find(question.question), std::string::npos) << question.question;
      ++n;
    }
  }
  EXPECT_EQ(n, 60 * kQuestionKinds);
  // The search does find what is there.
  Dice dice(kSeed, Part::kConversation, 0);
  EXPECT_NE(all.find(draw_conversation(questions(), kLanguages[0], Split::kTrain, dice)[0].content),
            std::string::npos);
}

TEST(Documents, TellTheFactThatAHeldOutQuestionAsksFor) {
  std::string all;
  for (const Document& document : many_documents(20'000)) {
    if (document.kind == DocumentKind::kPortrait) all += document.text + '\n';
  }
  int told = 0, n = 0;
  for (int i = 0; i < 100; ++i) {
    Dice dice(kSeed, Part::kQuestions, i);
    const Question question =
        questions().draw(QuestionKind::kTowns, kLanguages[i % 2], Split::kHeldOut, dice);
    told += all.find(question.response) != std::string::npos ? 1 : 0;
    ++n;
  }
  EXPECT_GT(told, n * 9 / 10);
}

TEST(Conversations, AlternateAndAreNotEmpty) {
  for (int64_t i = 0; i < 1000; ++i) {
    for (const Split split : {Split::kTrain, Split::kHeldOut}) {
      Dice dice(kSeed, Part::kConversation, i);
      const Language language = kLanguages[i % 2];
      const std::vector<Message> messages = draw_conversation(questions(), language, split, dice);
      ASSERT_GE(messages.size(), 2u);
      ASSERT_EQ(messages.size() % 2, 0u);
      for (size_t k = 0; k < messages.size(); ++k) {
        EXPECT_EQ(messages[k].role, k % 2 == 0 ? "user" : "assistant");
        EXPECT_EQ(fault_of(messages[k].content, language), "") << messages[k].content;
      }
    }
  }
}

SynthOptions small_world() {
  SynthOptions options;
  options.seed = 3;
  options.size_bytes = 300'000;
  options.conversations = 300;
  return options;
}

std::map<std::string, std::string> files_of(const fs::path& folder) {
  std::map<std::string, std::string> files;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file()) {
      files[fs::relative(entry.path(), folder).string()] = bytes_of(entry.path());
    }
  }
  return files;
}

TEST(WriteWorld, SameOptionsSameBytesForAnyNumberOfThreads) {
  const int threads = num_threads();
  const TemporaryFolder folder;
  std::map<std::string, std::string> first;
  for (const int n : {1, 2, 5}) {
    set_num_threads(n);
    const fs::path out = folder / std::to_string(n);
    static_cast<void>(write_world(out, small_world()));
    if (first.empty()) first = files_of(out);
    EXPECT_EQ(files_of(out), first) << n << " threads";
  }
  set_num_threads(threads);
  SynthOptions other = small_world();
  other.seed = 4;
  static_cast<void>(write_world(folder / "other", other));
  EXPECT_NE(files_of(folder / "other").at("shard_00000.jsonl"), first.at("shard_00000.jsonl"));
}

TEST(WriteWorld, TheSizeIsNearWhatIsAskedAndTheFolderMeansTheShards) {
  const TemporaryFolder folder;
  SynthOptions options = small_world();
  options.size_bytes = 9'000'000;  // more than two shards
  const SynthSummary summary = write_world(folder / "world", options);
  EXPECT_GE(summary.total().bytes, options.size_bytes);
  EXPECT_LT(summary.total().bytes, options.size_bytes + 10'000);
  const std::string paths[] = {(folder / "world").string()};
  DocumentSource source(paths);
  ASSERT_EQ(source.files().size(), 4u);
  DocumentBatch batch;
  int64_t documents = 0, bytes = 0, validation = 0;
  while (source.next(batch)) {
    for (const std::string_view document : batch.documents) {
      if (batch.file == 3) {
        ++validation;
      } else {
        ++documents;
        bytes += std::ssize(document);
      }
    }
  }
  EXPECT_EQ(documents, summary.total().documents);
  EXPECT_EQ(bytes, summary.total().bytes);
  EXPECT_GE(validation, documents / 31);
  // 60 % English.
  int64_t english = 0;
  for (const SynthCount& count : summary.counts[0]) english += count.bytes;
  EXPECT_NEAR(static_cast<double>(english) / static_cast<double>(bytes), 0.6, 0.04);
}

TEST(WriteWorld, ACountOfDocumentsIsExact) {
  const TemporaryFolder folder;
  SynthOptions options = small_world();
  options.documents = 1234;
  const SynthSummary summary = write_world(folder / "world", options);
  EXPECT_EQ(summary.total().documents, 1234);
  EXPECT_EQ(lines_of(bytes_of(folder / "world/shard_00000.jsonl")).size(), 1234u);
}

TEST(WriteWorld, OneLanguageIsOneLanguage) {
  for (const Language language : kLanguages) {
    const TemporaryFolder folder;
    SynthOptions options = small_world();
    options.language = language;
    static_cast<void>(write_world(folder / "world", options));
    for (const std::string& line : lines_of(bytes_of(folder / "world/shard_00000.jsonl"))) {
      const std::string text = json::parse(line).at("text");
      EXPECT_EQ(fault_of(text, language), "") << text;
    }
    for (const std::string& line : lines_of(bytes_of(folder / "world/chat/questions_test.jsonl"))) {
      EXPECT_EQ(json::parse(line).at("language"), code(language));
    }
  }
}

TEST(WriteWorld, NoHeldOutQuestionIsInAnyTrainingFile) {
  const TemporaryFolder folder;
  SynthOptions options = small_world();
  options.size_bytes = 1'500'000;
  options.conversations = 1000;
  static_cast<void>(write_world(folder / "world", options));
  std::string training;
  for (const std::string& line : lines_of(bytes_of(folder / "world/shard_00000.jsonl"))) {
    training += json::parse(line).at("text").get<std::string>() + '\n';
  }
  for (const std::string& line :
       lines_of(bytes_of(folder / "world/chat/conversations_train.jsonl"))) {
    for (const json& message : json::parse(line)) {
      training += message.at("content").get<std::string>() + '\n';
    }
  }
  std::map<std::string, int> kinds;
  for (const std::string& line : lines_of(bytes_of(folder / "world/chat/questions_test.jsonl"))) {
    const json question = json::parse(line);
    const std::string text = question.at("question");
    EXPECT_EQ(training.find(text), std::string::npos) << text;
    ++kinds[question.at("kind").get<std::string>() + question.at("language").get<std::string>()];
    EXPECT_TRUE(question.at("prompt").get<std::string>().find(text) != std::string::npos);
    EXPECT_FALSE(question.at("answer").get<std::string>().empty());
  }
  EXPECT_EQ(std::ssize(kinds), kQuestionKinds * 2);
  for (const auto& [kind, n] : kinds) EXPECT_GE(n, 20) << kind;
  const auto test = lines_of(bytes_of(folder / "world/chat/conversations_test.jsonl"));
  EXPECT_EQ(test.size(), 60u);
  for (const std::string& line : test) {
    const std::string text = json::parse(line).at(0).at("content");
    EXPECT_EQ(training.find(text), std::string::npos) << text;
  }
}

TEST(WriteWorld, AFinishedWorldIsRecognisedAndLeftAlone) {
  const TemporaryFolder folder;
  const fs::path out = folder / "world";
  const SynthSummary made = write_world(out, small_world());
  EXPECT_FALSE(made.was_there);
  const auto time = fs::last_write_time(out / "shard_00000.jsonl");
  const SynthSummary again = write_world(out, small_world());
  EXPECT_TRUE(again.was_there);
  EXPECT_EQ(again.total().bytes, made.total().bytes);
  EXPECT_EQ(fs::last_write_time(out / "shard_00000.jsonl"), time);
}

TEST(WriteWorld, OtherOptionsAreRefusedUnlessToldToOverwrite) {
  const TemporaryFolder folder;
  const fs::path out = folder / "world";
  static_cast<void>(write_world(out, small_world()));
  SynthOptions other = small_world();
  other.seed = 4;
  EXPECT_THROW(static_cast<void>(write_world(out, other)), UsageError);
  other.overwrite = true;
  EXPECT_FALSE(write_world(out, other).was_there);
  EXPECT_TRUE(write_world(out, other).was_there);
  EXPECT_EQ(std::distance(fs::directory_iterator(folder.path()), fs::directory_iterator()), 1);
}

TEST(WriteWorld, AWorldWithAFileCutShortIsNotTakenForWhole) {
  const TemporaryFolder folder;
  const fs::path out = folder / "world";
  static_cast<void>(write_world(out, small_world()));
  fs::resize_file(out / "shard_00001.jsonl", 100);
  EXPECT_THROW(static_cast<void>(write_world(out, small_world())), UsageError);
}

TEST(WriteWorld, AFolderWithSomethingElseInItIsNotTouched) {
  const TemporaryFolder folder;
  folder.write("world/notes.txt", "mine");
  SynthOptions options = small_world();
  options.overwrite = true;
  EXPECT_THROW(static_cast<void>(write_world(folder / "world", options)), UsageError);
  EXPECT_EQ(bytes_of(folder / "world/notes.txt"), "mine");
  folder.write("file", "mine");
  EXPECT_THROW(static_cast<void>(write_world(folder / "file", options)), UsageError);
}

TEST(WriteWorld, AStopLeavesNothingBehind) {
  const TemporaryFolder folder;
  int calls = 0;
  const auto stop = [&](int64_t) {
    if (++calls == 2) throw std::runtime_error("stopped");
  };
  EXPECT_THROW(static_cast<void>(write_world(folder / "world", small_world(), stop)),
               std::runtime_error);
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

TEST(WriteWorld, SizesOutOfRangeAreRefused) {
  const TemporaryFolder folder;
  const auto refuses = [&](const std::function<void(SynthOptions&)>& change) {
    SynthOptions options = small_world();
    change(options);
    EXPECT_THROW(static_cast<void>(write_world(folder / "world", options)), UsageError);
  };
  refuses([](SynthOptions& o) { o.size_bytes = 10; });
  refuses([](SynthOptions& o) { o.size_bytes = -1; });
  refuses([](SynthOptions& o) { o.documents = -5; });
  refuses([](SynthOptions& o) { o.conversations = -1; });
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

}  // namespace
}  // namespace nanochat::synth
