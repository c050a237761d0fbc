// labels: unit parity
#include "tasks/task.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "core/error.h"
#include "support/fixtures.h"
#include "support/refusal.h"
#include "support/sha256.h"

namespace nanochat {
namespace {

using nlohmann::json;
using Indices = std::vector<int64_t>;

/// Example i says "NAME i"; right is whoever repeats it.
class CountingTask final : public Task {
 public:
  CountingTask(std::string name, int64_t size, EvalType type = EvalType::kGenerative)
      : name_(std::move(name)), size_(size), type_(type) {}

  std::string name() const override { return name_; }
  int64_t size() const override { return size_; }
  EvalType eval_type() const override { return type_; }
  TaskExample example(int64_t i) const override {
    check_example_index(*this, i);
    return {.conversation = {{{Role::kUser, "?"}, {Role::kAssistant, text(i)}}}};
  }
  bool evaluate(int64_t i, std::string_view response) const override { return response == text(i); }

 private:
  std::string text(int64_t i) const { return name_ + " " + std::to_string(i); }

  std::string name_;
  int64_t size_;
  EvalType type_;
};

TaskPtr counting(std::string name, int64_t size, EvalType type = EvalType::kGenerative) {
  return std::make_shared<CountingTask>(std::move(name), size, type);
}

std::string answer(const Task& task, int64_t i) {
  return std::get<std::string>(task.example(i).conversation.messages.back().content);
}

/// The indices of the original behind a view of one task.
Indices original_indices(const Task& task) {
  Indices indices;
  for (int64_t i = 0; i < task.size(); ++i)
    indices.push_back(std::stoll(answer(task, i).substr(2)));
  return indices;
}

Indices sliced(int64_t n, int64_t start, std::optional<int64_t> stop, int64_t step) {
  return original_indices(*slice(counting("t", n), start, stop, step));
}

using Places = std::vector<std::pair<int64_t, int64_t>>;

Places places(const TaskList& list) {
  Places all;
  for (int64_t i = 0; i < list.size(); ++i)
    all.emplace_back(list.place(i).task, list.place(i).index);
  return all;
}

std::vector<TaskPtr> of_sizes(const std::vector<int64_t>& sizes) {
  std::vector<TaskPtr> tasks;
  for (const int64_t n : sizes) tasks.push_back(counting("t", n));
  return tasks;
}

TEST(TaskSliceTest, ViewsEveryStepThExampleOfARange) {
  EXPECT_EQ(sliced(10, 5, 10, 1), (Indices{5, 6, 7, 8, 9}));
  EXPECT_EQ(sliced(10, 0, {}, 3), (Indices{0, 3, 6, 9}));
  EXPECT_EQ(sliced(10, 2, 2, 1), Indices{});
  EXPECT_EQ(sliced(10, 8, 99, 1), (Indices{8, 9})) << "a stop behind the end is the end";
  const TaskPtr whole = counting("t", 4);
  EXPECT_EQ(slice(whole, 0), whole);
}

TEST(TaskSliceTest, JudgesTheOriginalsExamples) {
  const TaskPtr view = slice(counting("t", 10), 3, {}, 2);
  EXPECT_EQ(view->name(), "t");
  EXPECT_TRUE(view->evaluate(1, "t 5"));
  EXPECT_FALSE(view->evaluate(1, "t 1"));
  EXPECT_EQ(view->reward(2, "t 7"), 1.0);
  EXPECT_TRUE(view->has_reward());
}

TEST(TaskSliceTest, RefusesRangesThatMakeNoSense) {
  const TaskPtr task = counting("t", 5);
  for (const auto& [start, stop, step] :
       {std::tuple{-1, 3, 1}, {3, 2, 1}, {0, 5, 0}, {0, 5, -1}, {6, 7, 1}}) {
    EXPECT_SAYS(test::refusal<UsageError>([&task, start = start, stop = stop, step = step] {
                  (void)slice(task, start, stop, step);
                }),
                "of 5 examples");
  }
}

TEST(TaskTest, AnExampleThatIsNotThereIsRefusedByNumber) {
  const TaskPtr view = slice(counting("t", 10), 3, 5);
  for (const int64_t i : {-1, 2}) {
    EXPECT_SAYS(test::refusal<UsageError>([&] { (void)view->example(i); }),
                "t: no example " + std::to_string(i) + ": it has 2");
  }
  const TaskMixture mixture(of_sizes({2, 1}));
  EXPECT_SAYS(test::refusal<UsageError>([&] { (void)mixture.example(3); }), "no example 3");
  const TaskSequence sequence(of_sizes({}));
  EXPECT_EQ(sequence.size(), 0);
  EXPECT_SAYS(test::refusal<UsageError>([&] { (void)sequence.example(0); }), "no example 0");
}

TEST(TaskMixtureTest, TheOrderIsUpstreams) {
  const Places order{{1, 0}, {1, 1}, {1, 3}, {1, 4}, {0, 2}, {1, 2}, {0, 0}, {0, 1}};
  EXPECT_EQ(places(TaskMixture(of_sizes({3, 5}))), order);
}

TEST(TaskMixtureTest, ATaskThatIsGivenTwiceCountsTwice) {
  const TaskPtr task = counting("t", 3);
  const TaskMixture mixture({task, counting("u", 2), task});
  EXPECT_EQ(mixture.size(), 8);
  EXPECT_EQ(mixture.name(), "t+u+t");
  std::vector<std::string> all;
  for (int64_t i = 0; i < 8; ++i) all.push_back(answer(mixture, i));
  EXPECT_EQ(std::ranges::count(all, "t 1"), 2);
  EXPECT_EQ(std::ranges::count(all, "u 1"), 1);
}

TEST(TaskMixtureTest, EachExampleIsJudgedByItsTask) {
  const TaskMixture mixture({counting("a", 3), counting("b", 3)});
  EXPECT_EQ(mixture.eval_type(), EvalType::kGenerative);
  EXPECT_TRUE(mixture.has_reward());
  for (int64_t i = 0; i < mixture.size(); ++i) {
    EXPECT_EQ(mixture.reward(i, answer(mixture, i)), 1.0);
    EXPECT_EQ(mixture.reward(i, answer(mixture, (i + 1) % 6)), 0.0);
  }
}

TEST(TaskMixtureTest, TasksOfDifferentKindsHaveNoJudgeInCommon) {
  const TaskMixture mixture({counting("a", 3), counting("b", 3, EvalType::kCategorical)});
  EXPECT_EQ(mixture.eval_type(), EvalType::kNone);
  EXPECT_FALSE(mixture.has_reward());
}

TEST(TaskSequenceTest, TasksFollowEachOther) {
  const TaskSequence sequence(of_sizes({3, 0, 2}));
  EXPECT_EQ(places(sequence), (Places{{0, 0}, {0, 1}, {0, 2}, {2, 0}, {2, 1}}));
}

class TaskFixtureTest : public ::testing::Test {
 protected:
  void SetUp() override {
    constexpr const char* kPattern = "tasks/mixture.json";
    const auto paths = test::find_fixtures(kPattern);
    if (paths.empty()) GTEST_SKIP() << test::missing_fixture(kPattern);
    fixture_ = test::load_json(paths.front());
  }

  json fixture_;
};

TEST_F(TaskFixtureTest, MixturesHaveItsOrder) {
  for (const json& c : fixture_.at("mixtures")) {
    SCOPED_TRACE(c.at("sizes").dump());
    const Places all = places(TaskMixture(of_sizes(c.at("sizes"))));
    EXPECT_EQ(std::ssize(all), c.at("length").get<int64_t>());
    const json& order = c.at("order");
    ASSERT_LE(order.size(), all.size());
    for (size_t i = 0; i < order.size(); ++i) {
      EXPECT_EQ(order[i], json::array({all[i].first, all[i].second})) << i;
    }
    std::string bytes;
    for (const auto& [task, index] : all) {
      for (const int64_t number : {task, index}) {
        for (int shift = 0; shift < 32; shift += 8) bytes += static_cast<char>(number >> shift);
      }
    }
    EXPECT_EQ(test::sha256(bytes), c.at("sha256_u32le_pairs"));
  }
}

TEST_F(TaskFixtureTest, SlicesAndSequencesHaveItsIndices) {
  for (const json& c : fixture_.at("slices")) {
    SCOPED_TRACE(c.dump());
    const std::optional<int64_t> stop =
        c.at("stop").is_null() ? std::nullopt : std::optional<int64_t>(c.at("stop"));
    EXPECT_EQ(sliced(c.at("num_examples"), c.at("start"), stop, c.at("step")),
              c.at("physical_indices").get<Indices>());
  }
  const TaskMixture mixture({slice(counting("a", 10), 0, 4), slice(counting("b", 10), 2, 10, 3)});
  json order = json::array();
  for (int64_t i = 0; i < mixture.size(); ++i) {
    order.push_back({mixture.place(i).task, std::stoll(answer(mixture, i).substr(2))});
  }
  EXPECT_EQ(order, fixture_.at("mixture_of_slices").at("order"));
  const TaskSequence sequence({counting("a", 3), slice(counting("b", 2), 1)});
  order = json::array();
  for (int64_t i = 0; i < sequence.size(); ++i) {
    order.push_back({sequence.place(i).task, std::stoll(answer(sequence, i).substr(2))});
  }
  EXPECT_EQ(order, fixture_.at("sequence").at("order"));
}

}  // namespace
}  // namespace nanochat
