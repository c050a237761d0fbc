// labels: data
/// The real data sets of $NANOCHAT_DATA/tasks.
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "core/error.h"
#include "support/fixtures.h"
#include "tasks/registry.h"

namespace nanochat {
namespace {

namespace fs = std::filesystem;

class RealDataTest : public ::testing::Test {
 protected:
  /// The task, or null when its data is not there.
  static TaskPtr make(std::string_view spec) {
    const TaskData data{.base_dir = "/nowhere", .folders = {test::data_dir() / "tasks"}};
    try {
      return make_task(spec, data);
    } catch (const NotFoundError&) {
      return nullptr;
    }
  }
};

std::string text_of(const Message& message) {
  if (const auto* const text = std::get_if<std::string>(&message.content)) return *text;
  std::string all;
  for (const MessagePart& part : std::get<std::vector<MessagePart>>(message.content)) {
    all += part.text;
  }
  return all;
}

TEST_F(RealDataTest, EveryReferenceAnswerOfGsm8kIsRightAndChangedOnesAreWrong) {
  for (const char* const spec : {"gsm8k:train", "gsm8k:test"}) {
    const TaskPtr task = make(spec);
    if (task == nullptr) GTEST_SKIP() << test::missing_data("tasks/gsm8k");
    EXPECT_GT(task->size(), 1000);
    for (int64_t i = 0; i < task->size(); ++i) {
      const std::string answer = text_of(task->example(i).conversation.messages.back());
      ASSERT_TRUE(task->evaluate(i, answer)) << i << ": " << answer;
      const std::string number = answer.substr(answer.rfind("#### ") + 5);
      ASSERT_TRUE(task->evaluate(i, "#### " + number));
      const std::vector<std::string> wrong_ones{
          "",
          number,
          "####" + number,
          "#### $" + number,
          "#### " + number + "1",
          "#### " + number + ".0",
          "#### -1000000007",
          "#### 0.123\n#### " + number,
      };
      for (const std::string& wrong : wrong_ones) {
        ASSERT_FALSE(task->evaluate(i, wrong)) << i << ": " << wrong;
      }
    }
  }
}

TEST_F(RealDataTest, EveryMultipleChoiceQuestionHasOneRightLetter) {
  int64_t n = 0;
  for (const char* const spec : {"arc-easy:train", "arc-easy:test", "arc-challenge:train",
                                 "arc-challenge:test", "mmlu:dev", "mmlu:test"}) {
    const TaskPtr task = make(spec);
    if (task == nullptr) continue;
    n += task->size();
    for (int64_t i = 0; i < task->size(); ++i) {
      const TaskExample example = task->example(i);
      int right = 0;
      for (const std::string& letter : example.letters) {
        right += text_of(example.conversation.messages.back()) == letter ? 1 : 0;
      }
      ASSERT_EQ(right, 1) << spec << " " << i;
    }
    EXPECT_TRUE(task->evaluate(0, text_of(task->example(0).conversation.messages.back())));
    EXPECT_FALSE(task->evaluate(0, "?"));
  }
  if (n == 0) GTEST_SKIP() << test::missing_data("tasks/arc and tasks/mmlu");
}

TEST_F(RealDataTest, AFewSolutionsOfHumanEvalPassAndWrongOnesFail) {
  const TaskPtr task = make("humaneval:8");
  if (task == nullptr) GTEST_SKIP() << test::missing_data("tasks/humaneval");
  try {
    for (int64_t i = 0; i < task->size(); ++i) {
      const std::string solution = text_of(task->example(i).conversation.messages.back());
      EXPECT_TRUE(task->evaluate(i, solution)) << solution;
      EXPECT_TRUE(task->evaluate(i, "```python\n" + solution + "\n```"));
      EXPECT_FALSE(task->evaluate(i, solution + "\n    return None\nraise ValueError()"));
      EXPECT_FALSE(task->evaluate(i, "pass"));
    }
  } catch (const DeviceError& e) {
    GTEST_SKIP() << "no sandbox here: " << e.what();
  }
}

TEST_F(RealDataTest, FilesOfConversationsAreRead) {
  const fs::path folder = test::data_dir() / "tasks" / "smoltalk-like";
  if (!fs::exists(folder)) GTEST_SKIP() << test::missing_data("tasks/smoltalk-like");
  int64_t n = 0;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().string().ends_with("_test.jsonl")) n += make(entry.path().string())->size();
  }
  EXPECT_GT(n, 500);
}

TEST_F(RealDataTest, TheDownloadedWordsAreTaken) {
  if (!fs::exists(test::data_dir() / "tasks" / "words" / "words_alpha.txt")) {
    GTEST_SKIP() << test::missing_data("tasks/words/words_alpha.txt");
  }
  const TaskPtr train = make("spelling-bee:train:300");
  const TaskPtr test = make("spelling-bee:test");
  for (const TaskPtr& task : {train, test}) {
    for (int64_t i = 0; i < task->size(); ++i) {
      ASSERT_TRUE(task->evaluate(i, text_of(task->example(i).conversation.messages.back())));
    }
  }
}

}  // namespace
}  // namespace nanochat
