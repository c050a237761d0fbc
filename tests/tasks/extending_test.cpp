/// docs/extending.md: its example works, and is what the page prints.
#include <set>
#include <string>

#include <gtest/gtest.h>

#include "core/error.h"
#include "core/file.h"
#include "tasks/registry.h"
#include "tasks/weekdays.h"

namespace nanochat {
namespace {

std::string question(const Task& task, int64_t i) {
  return std::get<std::string>(task.example(i).conversation.messages.front().content);
}
std::string answer(const Task& task, int64_t i) {
  return std::get<std::string>(task.example(i).conversation.messages.back().content);
}

TEST(ExtendingTest, TheExampleIsATask) {
  const TaskData none{.base_dir = "/nowhere"};
  const TaskPtr train = make_weekdays({"Weekdays", "train", {}, none});
  const TaskPtr test = make_weekdays({"Weekdays", "test", {}, none});
  EXPECT_EQ(train->size(), 56);
  EXPECT_EQ(test->size(), 14);
  std::set<std::string> questions;
  for (const TaskPtr& task : {train, test}) {
    for (int64_t i = 0; i < task->size(); ++i) {
      EXPECT_TRUE(questions.insert(question(*task, i)).second) << question(*task, i);
      EXPECT_EQ(task->reward(i, "It is " + answer(*task, i)), 1.0);
      EXPECT_EQ(task->reward(i, "Monday or Tuesday."), 0.0);
      EXPECT_EQ(task->reward(i, ""), 0.0);
    }
    EXPECT_THROW(static_cast<void>(task->example(task->size())), UsageError);
  }
  EXPECT_TRUE(questions.contains("Which day comes 3 days after Tuesday?"));
}

TEST(ExtendingTest, ThePagePrintsTheExampleAsItIs) {
  const std::string root = NANOCHAT_SOURCE_DIR;
  const std::string source = read_file(root + "/tests/tasks/weekdays.h", 1 << 20);
  constexpr std::string_view kBegin = "// [weekdays]\n", kEnd = "// [/weekdays]\n";
  const size_t begin = source.find(kBegin) + kBegin.size();
  const std::string example = source.substr(begin, source.find(kEnd) - begin);
  ASSERT_GT(example.size(), 500U);
  const std::string page = read_file(root + "/docs/extending.md", 1 << 20);
  EXPECT_NE(page.find("```cpp\n" + example + "```\n"), std::string::npos)
      << "docs/extending.md: copy tests/tasks/weekdays.h into it again";
}

}  // namespace
}  // namespace nanochat
