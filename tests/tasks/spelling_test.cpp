// labels: unit parity
#include "tasks/spelling.h"

#include <algorithm>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "core/error.h"
#include "support/fixtures.h"
#include "support/refusal.h"
#include "support/temporary_folder.h"
#include "tasks/final_answer.h"

namespace nanochat {
namespace {

using nlohmann::json;

std::string question(const Task& task, int64_t i) {
  return std::get<std::string>(task.example(i).conversation.messages.front().content);
}
std::vector<MessagePart> parts(const Task& task, int64_t i) {
  return std::get<std::vector<MessagePart>>(task.example(i).conversation.messages.back().content);
}
/// The word that the tool is asked about: 'word'.count('l').
std::string asked_word(const Task& task, int64_t i) {
  const std::string python = parts(task, i)[2].text;
  return python.substr(1, python.find('\'', 1) - 1);
}

std::shared_ptr<const WordList> words() { return load_words({.base_dir = "/nowhere"}); }

TEST(WordListTest, TheProgramHasWordsOfItsOwn) {
  const auto list = words();
  EXPECT_GT(list->size(), 4000U);
  EXPECT_EQ(std::set<std::string>(list->begin(), list->end()).size(), list->size());
  size_t held_out = 0;
  for (const std::string& word : *list) {
    EXPECT_GT(word.size(), 2U);
    EXPECT_EQ(word.find_first_not_of("abcdefghijklmnopqrstuvwxyz"), std::string::npos) << word;
    held_out += is_held_out_word(word) ? 1 : 0;
  }
  EXPECT_NEAR(static_cast<double>(held_out), static_cast<double>(list->size()) / 16, 60);
}

TEST(WordListTest, ADownloadedListIsTakenInstead) {
  const test::TemporaryFolder base;
  base.write("words_alpha.txt", "old\r\n");
  EXPECT_EQ(*load_words({.base_dir = base.path()}), (WordList{"old"})) << "upstream's place";
  base.write("data/words/words_alpha.txt", "aa\r\nbb\r\n\r\n");
  EXPECT_EQ(*load_words({.base_dir = base.path()}), (WordList{"aa", "bb"}));
  base.write("mine/words_alpha.txt", " \r\n");
  EXPECT_SAYS(
      test::refusal<DataError>([&] {
        static_cast<void>(load_words({.base_dir = base.path(), .folders = {base / "mine"}}));
      }),
      "no words in it");
}

TEST(SpellingBeeTest, CountsByHandThenWithTheTool) {
  const auto list = std::make_shared<const WordList>(WordList{"apple"});
  constexpr SpellingTemplate kOne[] = {{"Count {letter} in {word}"}};
  const TaskPtr task =
      make_spelling_bee({.words = list, .size = 40, .split = SpellingSplit::kUpstream}, kOne);
  for (int64_t i = 0; i < 40; ++i) {
    const std::vector<MessagePart> all = parts(*task, i);
    ASSERT_EQ(all.size(), 5U);
    if (all[2].text != "'apple'.count('p')") continue;
    EXPECT_NE(all[0].text.find("apple:a,p,p,l,e\n"), std::string::npos) << all[0].text;
    EXPECT_NE(all[0].text.find("\n1:a\n2:p hit! count=1\n3:p hit! count=2\n4:l\n5:e\n"),
              std::string::npos)
        << all[0].text;
    EXPECT_EQ(all[3], (MessagePart{PartType::kPythonOutput, "2"}));
    EXPECT_TRUE(all[4].text.ends_with("\n\n#### 2")) << all[4].text;
    EXPECT_TRUE(task->evaluate(i, "So it is\n#### 2"));
    EXPECT_FALSE(task->evaluate(i, "#### 3"));
    EXPECT_FALSE(task->evaluate(i, "2"));
    return;
  }
  FAIL() << "p was never asked for";
}

TEST(SpellingBeeTest, NoWordOfTheTestIsInTraining) {
  const TaskPtr train = make_spelling_bee({.words = words(), .size = 3000});
  const TaskPtr simple = make_simple_spelling({.words = words(), .size = 3000});
  const TaskPtr test = make_spelling_bee({.words = words(), .is_test = true, .size = 256});
  std::set<std::string> trained;
  for (int64_t i = 0; i < 3000; ++i) {
    trained.insert(asked_word(*train, i));
    trained.insert(question(*simple, i).substr(std::string("Spell the word: ").size()));
  }
  for (int64_t i = 0; i < 256; ++i) EXPECT_FALSE(trained.contains(asked_word(*test, i))) << i;
}

TEST(SpellingBeeTest, UpstreamsTestIsItsTrainingAndOursIsNot) {
  const auto make = [](bool is_test, SpellingSplit split) {
    return make_spelling_bee({.words = words(), .is_test = is_test, .size = 300, .split = split});
  };
  const TaskPtr train = make(false, SpellingSplit::kUpstream);
  const TaskPtr test = make(true, SpellingSplit::kUpstream);
  for (int64_t i = 0; i + 1 < 300; ++i) EXPECT_EQ(question(*test, i), question(*train, i + 1));
  const TaskPtr ours = make(true, SpellingSplit::kHeldOutWords);
  const TaskPtr our_train = make(false, SpellingSplit::kHeldOutWords);
  int same = 0;
  for (int64_t i = 0; i + 1 < 300; ++i) {
    same += question(*ours, i) == question(*our_train, i + 1) ? 1 : 0;
  }
  EXPECT_EQ(same, 0);
}

TEST(SpellingBeeTest, AChineseQuestionIsAnsweredInChinese) {
  const TaskPtr task = make_spelling_bee({.words = words(), .size = 200});
  int chinese = 0;
  for (int64_t i = 0; i < 200; ++i) {
    const bool is_answer_chinese = parts(*task, i).back().text.find("答案") != std::string::npos;
    const std::string asked = question(*task, i);
    const bool is_question_chinese = asked.find("几") != std::string::npos ||
                                     asked.find("数") != std::string::npos ||
                                     asked.find("多少") != std::string::npos;
    EXPECT_EQ(is_answer_chinese, is_question_chinese) << asked;
    chinese += is_answer_chinese ? 1 : 0;
  }
  EXPECT_GT(chinese, 10);
}

TEST(SpellingTest, AListWithoutHeldOutWordsHasNoTest) {
  WordList few;
  const auto ours = words();
  for (const std::string& word : *ours) {
    if (!is_held_out_word(word) && few.size() < 3) few.push_back(word);
  }
  const auto list = std::make_shared<const WordList>(few);
  EXPECT_SAYS(test::refusal<UsageError>(
                  [&] { static_cast<void>(make_spelling_bee({.words = list, .is_test = true})); }),
              "SpellingBee: of 3 words none is left for the split 'test'");
}

/// Upstream's words and templates, and its examples. Its sentences around the steps are its own.
class SpellingFixture : public ::testing::Test {
 protected:
  void SetUp() override {
    constexpr const char* kPattern = "tasks/spellingbee.json";
    const auto paths = test::find_fixtures(kPattern);
    if (paths.empty()) GTEST_SKIP() << test::missing_fixture(kPattern);
    fixture_ = test::load_json(paths.front());
    texts_ = fixture_.at("templates").get<std::vector<std::string>>();
    for (const std::string& text : texts_) templates_.push_back({text});
  }
  SpellingOptions options(bool is_test) const {
    return {.words = std::make_shared<const WordList>(fixture_.at("words").get<WordList>()),
            .is_test = is_test,
            .size = 300,
            .split = SpellingSplit::kUpstream};
  }
  /// The user's messages are equal; `compare` looks at the assistant's.
  template <typename Compare>
  void check(const char* key, const Task& task, Compare compare) {
    const json& expected = fixture_.at("tasks").at(key);
    for (size_t i = 0; i < expected.at("first").size(); ++i) {
      const json& messages = expected.at("first")[i];
      EXPECT_EQ(question(task, static_cast<int64_t>(i)), messages[0].at("content"));
      compare(messages[1].at("content"), static_cast<int64_t>(i));
    }
    for (const auto& [index, text] : expected.at("more_user_messages").items()) {
      EXPECT_EQ(question(task, std::stoll(index)), text) << index;
    }
  }

  json fixture_;
  std::vector<std::string> texts_;
  std::vector<SpellingTemplate> templates_;
};

/// The lines with a colon inside: the spelling and the steps.
std::vector<std::string> step_lines(const std::string& text) {
  std::vector<std::string> lines;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    const std::string line = text.substr(begin, end - begin);
    if (const size_t colon = line.find(':');
        colon != std::string::npos && colon + 1 < line.size()) {
      lines.push_back(line);
    }
    begin = end + 1;
  }
  return lines;
}

TEST_F(SpellingFixture, ExamplesAreDrawnAsUpstreams) {
  for (const bool is_test : {false, true}) {
    const TaskPtr bee = make_spelling_bee(options(is_test), templates_);
    check(is_test ? "SpellingBee.test" : "SpellingBee.train", *bee,
          [&](const json& expected, int64_t i) {
            const std::vector<MessagePart> all = parts(*bee, i);
            ASSERT_EQ(all.size(), expected.size());
            EXPECT_EQ(step_lines(all[0].text), step_lines(expected[0].at("text")));
            EXPECT_EQ(all[2].text, expected[2].at("text"));
            EXPECT_EQ(all[3].text, expected[3].at("text"));
            EXPECT_EQ(final_answer(all[4].text),
                      final_answer(expected[4].at("text").get<std::string>()));
          });
    const TaskPtr simple = make_simple_spelling(options(is_test));
    check(is_test ? "SimpleSpelling.test" : "SimpleSpelling.train", *simple,
          [&](const json& expected, int64_t i) {
            EXPECT_EQ(
                std::get<std::string>(simple->example(i).conversation.messages.back().content),
                expected);
          });
  }
}

TEST_F(SpellingFixture, AnswersAreJudgedAsUpstreams) {
  const TaskPtr bee = make_spelling_bee(options(false), templates_);
  for (const json& c : fixture_.at("evaluate")) {
    EXPECT_EQ(bee->evaluate(c.at("example"), c.at("response").get<std::string>()),
              c.at("correct").get<bool>())
        << c.dump();
  }
}

}  // namespace
}  // namespace nanochat
