#include "eval/chat_eval.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "core/error.h"
#include "engine/small_model.h"
#include "engine/tools/calculator.h"
#include "ops/profiling_backend.h"
#include "support/backends.h"
#include "support/refusal.h"
#include "tokenizer/small_vocabulary.h"

namespace nanochat {
namespace {

// Ids of small_vocabulary({}): the bytes, then the special tokens.
constexpr int32_t kAssistantStart = 259, kAssistantEnd = 260, kPythonStart = 261, kPythonEnd = 262;

/// Questions of our own; what is right is said by a function.
class ToyTask final : public Task {
 public:
  using Judge = std::function<bool(int64_t, std::string_view)>;
  ToyTask(EvalType type, int64_t size, Judge judge, std::vector<std::string> letters = {})
      : type_(type), size_(size), judge_(std::move(judge)), letters_(std::move(letters)) {}

  std::string name() const override { return "Toy"; }
  int64_t size() const override { return size_; }
  TaskExample example(int64_t i) const override {
    const std::string question = fmt::format("Which one, at {}{}?", i, std::string(i % 7, '!'));
    return {.conversation = {{{Role::kUser, question}, {Role::kAssistant, "A"}}},
            .letters = letters_};
  }
  EvalType eval_type() const override { return type_; }
  bool evaluate(int64_t i, std::string_view response) const override { return judge_(i, response); }
  double random_baseline() const override { return 0.25; }

 private:
  EvalType type_;
  int64_t size_;
  Judge judge_;
  std::vector<std::string> letters_;
};

std::unique_ptr<Gpt> random_packed(Backend& backend = cpu_backend()) {
  return test::random_model(test::small_config(265), backend, DType::kF32, WeightFormat::kBf16);
}

using Record = std::tuple<int64_t, bool, std::vector<std::string>, std::vector<bool>,
                          std::vector<std::string>, std::vector<double>>;

class ChatEvalTest : public ::testing::Test {
 protected:
  EvalScore evaluate(Gpt& model, const Task& task, ChatEvalOptions options = {}) {
    options.on_record = [&](const ChatRecord& r) {
      records_.push_back({r.index, r.correct, r.answers, r.verdicts, r.letters, r.probabilities});
    };
    records_.clear();
    return evaluate_chat_task(model, tokenizer_, task, options);
  }
  /// A model that says these ids after <|assistant_start|>.
  static std::unique_ptr<Gpt> says(const std::vector<int32_t>& ids) {
    std::map<int32_t, int32_t> successor;
    int32_t before = kAssistantStart;
    for (const int32_t id : ids) before = successor[before] = id;
    return test::bigram_model(successor, 265, cpu_backend());
  }
  const std::vector<std::string>& answers(size_t i) const { return std::get<2>(records_.at(i)); }

  const Tokenizer tokenizer_{test::small_vocabulary({})};
  const ToyTask letters_{EvalType::kCategorical,
                         50,
                         [](int64_t i, std::string_view answer) {
                           return answer == std::string(1, static_cast<char>('A' + i % 4));
                         },
                         {"A", "B", "C", "D"}};
  const ToyTask short_answers_{EvalType::kGenerative, 20, [](int64_t i, std::string_view answer) {
                                 return (std::ssize(answer) + i) % 3 == 0;
                               }};
  std::vector<Record> records_;
};

// ---- letters -----------------------------------------------------------------------------------

TEST_F(ChatEvalTest, TheLikeliestOfTheLettersIsTheAnswer) {
  const auto model = says({'C'});
  const EvalScore score = evaluate(*model, letters_);
  EXPECT_EQ(score.task, "Toy");
  EXPECT_EQ(score.total, 50);
  EXPECT_EQ(score.correct, 12);  // 2, 6, ..., 46
  EXPECT_DOUBLE_EQ(*score.centered(), (0.24 - 0.25) / 0.75);
  EXPECT_NEAR(*score.standard_error(), 0.0604, 1e-4);
  ASSERT_EQ(records_.size(), 50u);
  for (int64_t i = 0; i < 50; ++i) {
    const auto& [index, correct, given, verdicts, letters, probabilities] =
        records_[static_cast<size_t>(i)];
    EXPECT_EQ(index, i);
    EXPECT_EQ(correct, i % 4 == 2);
    EXPECT_EQ(given, std::vector<std::string>{"C"});
    ASSERT_EQ(probabilities.size(), 4u);
    EXPECT_GT(probabilities[2], 0.9);
    EXPECT_NEAR(probabilities[0] + probabilities[1] + probabilities[2] + probabilities[3], 1, 1e-9);
  }
}

TEST_F(ChatEvalTest, WhatIsLikelierThanTheLettersIsNoAnswerAndTheFirstOfEqualsWins) {
  const auto model = says({'x'});
  static_cast<void>(evaluate(*model, letters_, {.max_problems = 3}));
  for (const Record& r : records_) EXPECT_EQ(std::get<2>(r)[0], "A");
}

TEST_F(ChatEvalTest, LettersHaveTheSameBitsInAnyBatchAndOnAnyNumberOfProcesses) {
  const auto model = random_packed();
  const EvalScore score = evaluate(*model, letters_);
  const std::vector<Record> expected = records_;
  for (const int64_t batch_size : {1, 3, 50}) {
    EXPECT_EQ(evaluate(*model, letters_, {.batch_size = batch_size}).correct, score.correct);
    EXPECT_EQ(records_, expected);
  }
  std::vector<Record> parts;
  int64_t correct = 0, total = 0;
  for (int64_t rank = 0; rank < 3; ++rank) {
    const EvalScore part = evaluate(*model, letters_, {.rank = rank, .world_size = 3});
    correct += part.correct;
    total += part.total;
    parts.insert(parts.end(), records_.begin(), records_.end());
  }
  EXPECT_EQ(total, 50);
  EXPECT_EQ(correct, score.correct);
  std::ranges::sort(parts);
  EXPECT_EQ(parts, expected);
}

TEST_F(ChatEvalTest, TheHeadRunsOnOneRowForEachProblem) {
  int64_t head_rows = 0;
  ProfilingBackend backend(cpu_backend(), [&](const ProfilingBackend::Operation& operation) {
    if (std::string_view(operation.name).starts_with("matmul") && operation.output.dim(1) == 265) {
      head_rows += operation.output.dim(0);
    }
  });
  const auto model = random_packed(backend);
  static_cast<void>(evaluate(*model, letters_));
  EXPECT_EQ(head_rows, 50);
}

TEST_F(ChatEvalTest, ALetterOfTwoTokensIsRefused) {
  const ToyTask task(EvalType::kCategorical, 3, {}, {"A", "10"});
  const std::string message =
      test::refusal<DataError>([&] { static_cast<void>(evaluate(*says({'A'}), task)); });
  EXPECT_SAYS(message, "Toy: the answer '10' is 2 tokens");
}

// ---- written answers ---------------------------------------------------------------------------

TEST_F(ChatEvalTest, AnAnswerEndsWhereTheModelEndsIt) {
  const auto model = says({'4', '2', kAssistantEnd, 'x'});
  const ToyTask task(EvalType::kGenerative, 9,
                     [](int64_t i, std::string_view answer) { return answer == "42" && i != 3; });
  const EvalScore score = evaluate(*model, task);
  EXPECT_EQ(score.correct, 8);
  EXPECT_EQ(score.total, 9);
  EXPECT_EQ(answers(0), std::vector<std::string>{"42"});
}

TEST_F(ChatEvalTest, ToolsAreLiveAndTheirResultsArePartOfTheAnswer) {
  const auto model = says({kPythonStart, '6', '*', '7', kPythonEnd, 'x'});
  const ToyTask task(EvalType::kGenerative, 2, [](int64_t, std::string_view answer) {
    return answer.find("42") != answer.npos;
  });
  ChatEvalOptions options{.max_new_tokens = 10, .tool = calculate};
  EXPECT_EQ(evaluate(*model, task, options).correct, 2);
  EXPECT_TRUE(answers(0)[0].starts_with(
      "<|python_start|>6*7<|python_end|><|output_start|>42<|output_end|>"))
      << answers(0)[0];
  options.tool = {};
  EXPECT_EQ(evaluate(*model, task, options).correct, 0);
}

TEST_F(ChatEvalTest, AProblemIsSolvedWhenOneSampleIsRight) {
  const auto model = random_packed();
  const ChatEvalOptions options{
      .num_samples = 4, .max_new_tokens = 6, .sampling = {.temperature = 1.0, .top_k = 0}};
  const EvalScore score = evaluate(*model, short_answers_, options);
  int64_t solved = 0, right = 0;
  for (const auto& [index, correct, given, verdicts, letters, probabilities] : records_) {
    ASSERT_EQ(given.size(), 4u);
    bool any = false;
    for (size_t k = 0; k < 4; ++k) {
      EXPECT_EQ(verdicts[k], (std::ssize(given[k]) + index) % 3 == 0);
      any = any || verdicts[k];
      right += verdicts[k] ? 1 : 0;
    }
    EXPECT_EQ(correct, any);
    solved += any ? 1 : 0;
  }
  EXPECT_EQ(score.correct, solved);
  EXPECT_GT(4 * solved, right);
  EXPECT_NE(answers(0)[0], answers(0)[1]);  // samples differ,
  EXPECT_NE(answers(0)[0], answers(7)[0]);  // and so do problems
}

TEST_F(ChatEvalTest, AnswersAreTheSameInAnyBatchAndOnAnyNumberOfProcesses) {
  const auto model = random_packed();
  ChatEvalOptions options{
      .num_samples = 2, .max_new_tokens = 8, .sampling = {.temperature = 1.0, .top_k = 0}};
  static_cast<void>(evaluate(*model, short_answers_, options));
  const std::vector<Record> expected = records_;
  for (const int64_t batch_size : {1, 5, 64}) {
    options.batch_size = batch_size;
    static_cast<void>(evaluate(*model, short_answers_, options));
    EXPECT_EQ(records_, expected) << batch_size;
  }
  std::vector<Record> parts;
  options.world_size = 2;
  for (options.rank = 0; options.rank < 2; ++options.rank) {
    static_cast<void>(evaluate(*model, short_answers_, options));
    parts.insert(parts.end(), records_.begin(), records_.end());
  }
  std::ranges::sort(parts);
  EXPECT_EQ(parts, expected);
}

TEST_F(ChatEvalTest, ManyProblemsAreWrittenAtATime) {
  const auto model = random_packed();
  int64_t steps = 0;
  const ChatEvalOptions options{
      .batch_size = 20, .max_new_tokens = 10, .on_step = [&] { ++steps; }};
  static_cast<void>(evaluate(*model, short_answers_, options));
  EXPECT_LT(steps, 40);  // 20 problems one after the other are 200
}

TEST_F(ChatEvalTest, WithoutTemperatureOneSampleIsDrawn) {
  const auto model = says({'4', kAssistantEnd});
  static_cast<void>(evaluate(*model, short_answers_, {.num_samples = 5}));
  for (size_t i = 0; i < 20; ++i) EXPECT_EQ(answers(i), std::vector<std::string>{"4"});
}

TEST_F(ChatEvalTest, NoProblemsAreNoNumber) {
  const auto model = says({'A'});
  for (const ToyTask* task : {&letters_, &short_answers_}) {
    const EvalScore score = evaluate(*model, *task, {.max_problems = 0});
    EXPECT_EQ(score.total, 0);
    EXPECT_EQ(score.accuracy(), std::nullopt);
    EXPECT_EQ(score.centered(), std::nullopt);
    EXPECT_EQ(mean_centered(std::vector{score}), std::nullopt);
  }
}

TEST_F(ChatEvalTest, WhatTheTaskThrowsComesOut) {
  const auto model = says({'4', kAssistantEnd});
  const ToyTask task(EvalType::kGenerative, 40, [](int64_t i, std::string_view) -> bool {
    if (i == 25) throw DeviceError("no sandbox");
    return true;
  });
  EXPECT_THROW(static_cast<void>(evaluate(*model, task)), DeviceError);
}

TEST_F(ChatEvalTest, WhatOnStepThrowsEndsIt) {
  const auto model = random_packed();
  const ChatEvalOptions options{.on_step = [] { throw IoError("enough"); }};
  EXPECT_THROW(static_cast<void>(evaluate(*model, letters_, options)), IoError);
  EXPECT_THROW(static_cast<void>(evaluate(*model, short_answers_, options)), IoError);
}

TEST_F(ChatEvalTest, WhatMakesNoSenseIsRefused) {
  const auto model = says({'4'});
  const ToyTask none(EvalType::kNone, 3, {});
  const std::string message =
      test::refusal<UsageError>([&] { static_cast<void>(evaluate(*model, none)); });
  EXPECT_SAYS(message, "Toy is for training");
  EXPECT_THROW(static_cast<void>(evaluate(*model, letters_, {.batch_size = 0})), UsageError);
  EXPECT_THROW(static_cast<void>(evaluate(*model, short_answers_, {.num_samples = 0})), UsageError);
  EXPECT_THROW(static_cast<void>(evaluate(*model, short_answers_, {.max_new_tokens = 5000})),
               UsageError);
}

// ---- ChatCORE ----------------------------------------------------------------------------------

TEST(ChatCoreTest, IsTheMeanOfTheCentredAccuracies) {
  // The accuracies that upstream has published of its mid and sft models, of five tasks.
  const auto metric = [](const std::vector<double>& accuracies) {
    std::vector<EvalScore> scores;
    for (size_t i = accuracies.size(); i-- > 0;) {  // in any order
      scores.push_back({.task = std::string(kChatCoreTasks[i]),
                        .baseline = i < 3 ? 0.25 : 0,
                        .correct = static_cast<int64_t>(accuracies[i] * 1e4 + 0.5),
                        .total = 10000});
    }
    EXPECT_FALSE(scores_of(scores, kChatCoreTasks));  // SpellingBee is not there
    return *mean_centered(*scores_of(scores, std::span(kChatCoreTasks).first(5)));
  };
  EXPECT_NEAR(metric({0.3561, 0.2875, 0.3111, 0.0250, 0.0671}), 0.0730, 5e-5);
  EXPECT_NEAR(metric({0.3876, 0.2807, 0.3151, 0.0455, 0.0854}), 0.0884, 5e-5);
}

TEST(ChatCoreTest, ItsErrorIsThatOfAMean) {
  const std::vector<EvalScore> scores{{.task = "a", .correct = 50, .total = 100},
                                      {.task = "b", .baseline = 0.5, .correct = 50, .total = 100}};
  EXPECT_NEAR(*mean_centered_error(scores), std::sqrt(0.05 * 0.05 + 0.1 * 0.1) / 2, 1e-12);
}

}  // namespace
}  // namespace nanochat
