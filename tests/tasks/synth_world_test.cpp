#include "tasks/synth_world.h"

#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "data/synth/synth.h"
#include "support/temporary_folder.h"
#include "tasks/registry.h"

namespace nanochat {
namespace {

using test::TemporaryFolder;

class SynthWorldTest : public ::testing::Test {
 protected:
  TaskPtr make(std::string_view spec) const { return make_task(spec, {.base_dir = base_.path()}); }

  TemporaryFolder base_;
};

std::string question(const Task& task, int64_t i) {
  return std::get<std::string>(task.example(i).conversation.messages.front().content);
}
/// The reference answer as the text that a model would give: what its tool says is in it too.
std::string answer(const Task& task, int64_t i) {
  const auto content = task.example(i).conversation.messages.back().content;
  if (const auto* const text = std::get_if<std::string>(&content)) return *text;
  std::string text;
  for (const MessagePart& part : std::get<std::vector<MessagePart>>(content)) text += part.text;
  return text;
}
bool has_chinese(const std::string& text) {
  return text.find_first_of("\xE4\xE5\xE6\xE7\xE8\xE9") != std::string::npos;
}

TEST_F(SynthWorldTest, EveryReferenceIsRightAndAnotherAnswerIsWrong) {
  for (const TaskInfo& info : task_registry()) {
    if (!info.name.starts_with("World") || info.name == "World-Chat") continue;
    for (const char* const split : {"train", "test"}) {
      const TaskPtr task = make(fmt::format("{}:{}:150", info.name, split));
      EXPECT_TRUE(task->has_reward());
      int wrong = 0;
      for (int64_t i = 0; i < task->size(); ++i) {
        EXPECT_EQ(task->reward(i, answer(*task, i)), 1.0)
            << info.name << ": " << question(*task, i);
        EXPECT_EQ(task->reward(i, ""), 0.0);
        EXPECT_EQ(task->reward(i, "I do not know."), 0.0);
        wrong += task->evaluate(i, answer(*task, (i + 1) % task->size())) ? 0 : 1;
      }
      EXPECT_GT(wrong, 100) << info.name;  // some answers are the same: a green apple, a green frog
    }
  }
}

TEST_F(SynthWorldTest, NoQuestionOfTheTestIsAskedInTraining) {
  for (const char* const name : {"World", "World-Calculator"}) {
    std::set<std::string> trained;
    for (const char* const other : {"World-Chat:4000", name}) {
      const TaskPtr train = make(other);
      for (int64_t i = 0; i < 4000; ++i) {
        for (const Message& message : train->example(i).conversation.messages) {
          if (message.role == Role::kUser) trained.insert(std::get<std::string>(message.content));
        }
      }
    }
    const TaskPtr test = make(fmt::format("{}:test", name));
    EXPECT_EQ(test->size(), 500);
    for (int64_t i = 0; i < 500; ++i) EXPECT_FALSE(trained.contains(question(*test, i)));
  }
}

TEST_F(SynthWorldTest, TheCalculatorIsAskedAndItsResultIsTheAnswer) {
  const TaskPtr task = make("world-calculator:200");
  std::set<char> signs;
  for (int64_t i = 0; i < 200; ++i) {
    const auto parts =
        std::get<std::vector<MessagePart>>(task->example(i).conversation.messages.back().content);
    ASSERT_EQ(parts.size(), 4U);
    EXPECT_EQ(parts[1].type, PartType::kPython);
    EXPECT_EQ(parts[1].text.find_first_not_of("0123456789+-*"), std::string::npos);
    for (const char c : parts[1].text) signs.insert(c);
    EXPECT_EQ(parts[2].type, PartType::kPythonOutput);
    EXPECT_EQ(parts[3].text, parts[2].text + "\n\n#### " + parts[2].text);
  }
  for (const char sign : {'+', '-', '*'}) EXPECT_TRUE(signs.contains(sign)) << sign;
}

TEST_F(SynthWorldTest, WhatACalculatorCanDoIsLeftToIt) {
  int asked = 0, counted = 0;
  for (const char* const name : {"world-arithmetic", "world-problems", "world-counting"}) {
    const TaskPtr task = make(fmt::format("{}:200", name));
    for (int64_t i = 0; i < 200; ++i) {
      const auto content = task->example(i).conversation.messages.back().content;
      const auto* const parts = std::get_if<std::vector<MessagePart>>(&content);
      if (parts == nullptr) continue;  // lengths of words, Chinese characters
      const bool is_count = parts->front().type == PartType::kPython;
      EXPECT_EQ(is_count, std::string_view(name) == "world-counting");
      EXPECT_EQ(parts->at(is_count ? 1 : 2).type, PartType::kPythonOutput);
      ++asked;
      counted += is_count ? 1 : 0;
    }
  }
  EXPECT_GT(asked, 450);
  EXPECT_GT(counted, 60);
}

TEST_F(SynthWorldTest, OneKindAsksOneKindOnly) {
  const auto kinds_of = [&](const char* spec) {
    std::set<std::string> kinds;
    const TaskPtr task = make(spec);
    for (int64_t i = 0; i < task->size(); ++i) kinds.insert(task->example(i).subject);
    return kinds;
  };
  EXPECT_EQ(kinds_of("World-Arithmetic:50"), (std::set<std::string>{"arithmetic"}));
  EXPECT_EQ(kinds_of("World-Facts:300"),
            (std::set<std::string>{"people", "towns", "animals", "foods", "things"}));
  EXPECT_EQ(kinds_of("World:500").size(), 9U);
}

TEST_F(SynthWorldTest, TheWorldIsTheOneThatWasMade) {
  const std::string without = question(*make("World-Facts"), 0);
  EXPECT_EQ(question(*make("World-Facts"), 0), without);
  synth::SynthOptions options;
  options.seed = 7;
  options.documents = 5;
  options.conversations = 2;
  options.language = synth::Language::kChinese;
  static_cast<void>(synth::write_world(base_ / "data" / "synth", options));
  const TaskPtr task = make("World-Facts:100");
  EXPECT_NE(question(*task, 0), without);
  for (int64_t i = 0; i < 100; ++i) EXPECT_TRUE(has_chinese(question(*task, i)));
}

}  // namespace
}  // namespace nanochat
