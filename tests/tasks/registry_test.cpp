#include "tasks/registry.h"

#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "core/error.h"
#include "support/refusal.h"
#include "support/temporary_folder.h"

namespace nanochat {
namespace {

using test::TemporaryFolder;

TEST(TaskSpecTest, ReadsNameSplitCountAndTimes) {
  const auto is = [](std::string_view text, std::string_view name, std::string_view split,
                     std::optional<int64_t> count, int64_t times) {
    const TaskSpec spec = parse_task_spec(text);
    EXPECT_EQ(spec.name, name) << text;
    EXPECT_EQ(spec.split, split) << text;
    EXPECT_EQ(spec.count, count) << text;
    EXPECT_EQ(spec.times, times) << text;
  };
  is("gsm8k", "gsm8k", "", {}, 1);
  is("gsm8k:train", "gsm8k", "train", {}, 1);
  is("smoltalk:train:10000", "smoltalk", "train", 10000, 1);
  is("spelling-bee:300", "spelling-bee", "", 300, 1);
  is("identity*2", "identity", "", {}, 2);
  is("mmlu:auxiliary_train:7*3", "mmlu", "auxiliary_train", 7, 3);
  is("/a:b/own.jsonl", "/a:b/own.jsonl", "", {}, 1);
  is("own.jsonl.gz:20*2", "own.jsonl.gz", "", 20, 2);
}

TEST(TaskSpecTest, RefusesCountsThatAreNone) {
  for (const char* const text : {"gsm8k*0", "gsm8k*x", "gsm8k*", "gsm8k:train:0"}) {
    EXPECT_SAYS(test::refusal<UsageError>([&] { static_cast<void>(parse_task_spec(text)); }), text);
  }
  EXPECT_SAYS(test::refusal<UsageError>([] { static_cast<void>(parse_task_spec(":train")); }),
              "names no task");
}

class RegistryTest : public ::testing::Test {
 protected:
  TaskPtr make(std::string_view spec) { return make_task(spec, data_); }

  TemporaryFolder folder_;
  TaskData data_{.base_dir = folder_.path()};
};

TEST_F(RegistryTest, NamesAreKnownInAnySpelling) {
  for (const char* const name : {"SpellingBee", "spelling-bee", "spellingbee", "SPELLING_BEE"}) {
    EXPECT_EQ(make(name)->name(), "SpellingBee") << name;
  }
}

TEST_F(RegistryTest, ADrawnTaskHasAsManyExamplesAsAskedFor) {
  EXPECT_EQ(make("spelling-bee:train:123456")->size(), 123456);
  EXPECT_EQ(make("spelling-bee:test")->size(), 256);
  EXPECT_EQ(make("World:test:7")->size(), 7);
}

TEST_F(RegistryTest, AFileOfOwnConversationsIsATask) {
  const std::string path = folder_.write(
      "own.jsonl",
      "[{\"role\": \"user\", \"content\": \"a\"}, {\"role\": \"assistant\", \"content\": \"b\"}]\n"
      "{\"prompt\": \"c\", \"completion\": \"d\"}\n");
  EXPECT_EQ(make(path)->size(), 2);
  EXPECT_EQ(make(path + ":1")->size(), 1);
  EXPECT_EQ(make(path + ":100")->size(), 2);
  EXPECT_EQ(make(path + "*3")->size(), 6);
  EXPECT_SAYS(test::refusal<UsageError>([&] { make(path + ":x"); }), "a file has no split");
}

TEST_F(RegistryTest, WhatIsNotThereSaysHowToGetIt) {
  EXPECT_SAYS(test::refusal<NotFoundError>([&] { make("gsm9k"); }), "there are ARC-Easy, ");
  EXPECT_SAYS(test::refusal<NotFoundError>([&] { make("gsm8k:train"); }),
              "GSM8K: no main/train or train in");
  EXPECT_SAYS(test::refusal<NotFoundError>([&] { make("gsm8k:train"); }),
              "nanochat data download gsm8k");
  EXPECT_SAYS(test::refusal<UsageError>([&] { make("gsm8k:dev"); }),
              "GSM8K has no split 'dev': it has train, test");
  const std::string absent = (folder_ / "absent.jsonl").string();
  const std::string says = test::refusal<NotFoundError>([&] { make(absent); });
  EXPECT_SAYS(says, absent);
  EXPECT_SAYS(says, "nanochat data identity");
}

TEST_F(RegistryTest, EveryDataSetOfTheRegistryCanBeDownloaded) {
  for (const TaskInfo& task : task_registry()) {
    if (task.dataset.empty()) continue;
    for (const std::string_view split : task.splits) {
      const std::string says =
          test::refusal<NotFoundError>([&] { make(fmt::format("{}:{}", task.name, split)); });
      EXPECT_SAYS(says, fmt::format("nanochat data download {} ", task.dataset));
    }
  }
}

TEST_F(RegistryTest, WhatNeedsNoDataWorksOffline) {
  std::set<std::string_view> seen;
  for (const TaskInfo& task : task_registry()) {
    EXPECT_TRUE(seen.insert(task.name).second) << task.name;
    if (!task.dataset.empty()) continue;
    for (const std::string_view split : task.splits) {
      const TaskPtr made = make(fmt::format("{}:{}:20", task.name, split));
      EXPECT_EQ(made->name(), task.name);
      EXPECT_EQ(made->size(), 20);
      for (int64_t i = 0; i < 20; ++i) {
        const TaskExample example = made->example(i);
        EXPECT_EQ(conversation_problem(example.conversation.messages), "");
        EXPECT_EQ(example.conversation.messages.back().role, Role::kAssistant);
        EXPECT_EQ(example.conversation, made->example(i).conversation);
      }
    }
  }
}

TEST_F(RegistryTest, AMixtureTakesEachAsOftenAsItSays) {
  const std::vector<std::string> specs{"identity*2", "spelling-bee:30", "World:10*3"};
  const auto mixture = make_mixture(specs, data_);
  EXPECT_EQ(mixture->tasks().size(), 6U);
  EXPECT_EQ(mixture->size(), 2 * make("identity")->size() + 30 + 30);
  EXPECT_SAYS(test::refusal<UsageError>([&] { static_cast<void>(make_mixture({}, data_)); }),
              "no tasks");
}

}  // namespace
}  // namespace nanochat
