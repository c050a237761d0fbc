#include "eval/core_tasks.h"

#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "core/error.h"
#include "eval/core_bundle.h"
#include "eval/core_prompts.h"
#include "support/refusal.h"

namespace nanochat {
namespace {

TEST(CoreTasksTest, TheListIsReadWithWhatGuessingGives) {
  const test::CoreBundle bundle;
  const std::vector<CoreTask> tasks = read_core_tasks(bundle.path());
  ASSERT_EQ(tasks.size(), 4u);
  EXPECT_EQ(tasks[0].label, "sums");
  EXPECT_EQ(tasks[0].delimiter, "\nAnswer: ");
  EXPECT_EQ(tasks[0].num_fewshot, 2);
  EXPECT_EQ(tasks[0].format, CoreFormat::kMultipleChoice);
  EXPECT_DOUBLE_EQ(tasks[0].baseline, 0.25);
  EXPECT_EQ(tasks[1].format, CoreFormat::kSchema);
  EXPECT_EQ(tasks[1].delimiter, " ");
  EXPECT_DOUBLE_EQ(tasks[1].baseline, 0.5);
  EXPECT_EQ(tasks[2].format, CoreFormat::kLanguageModeling);
  EXPECT_EQ(tasks[2].file, bundle.path() / "eval_data/words/rhymes.jsonl");
}

TEST(CoreTasksTest, ALabelThatIsNoneIsRefusedWithThoseThereAre) {
  const std::vector<CoreTask> tasks = read_core_tasks(test::CoreBundle().path());
  const auto two = select_core_tasks(tasks, {"rhymes", "sums"});
  ASSERT_EQ(two.size(), 2u);
  EXPECT_EQ(two[0].label, "sums");
  const std::string message = test::refusal<NotFoundError>([&] {
    static_cast<void>(select_core_tasks(tasks, {"sums", "rimes"}));
  });
  EXPECT_SAYS(message, "'rimes'");
  EXPECT_SAYS(message, "sums, pronouns, rhymes, lost");
}

TEST(CoreTasksTest, ValuesAreWhatPythonPrintsAndBlankLinesCountAsLines) {
  const test::CoreBundle bundle;
  const auto tasks = read_core_tasks(bundle.path());
  const auto sums = read_core_examples(tasks[0]);
  ASSERT_EQ(sums.size(), 12u);
  for (const CoreExample& e : sums) {
    const int64_t line = std::stoll(e.place.substr(e.place.rfind(':') + 1));
    EXPECT_EQ(e.options[1], std::to_string(line));  // i + 1, on line i + 1: a number in the file
    EXPECT_EQ(e.gold, (line - 1) % 4);
  }
  EXPECT_EQ(read_core_examples(tasks[2]).size(), 12u);
  bundle.write("eval_data/words/lost.jsonl",
               "{\"context\": true, \"continuation\": null}\n"
               "{\"context\": 1.5, \"continuation\": 7}\n");
  auto odd = read_core_examples(tasks[3]);
  if (odd[0].place.ends_with(":2")) std::swap(odd[0], odd[1]);
  EXPECT_EQ(odd[0].context + odd[0].continuation, "TrueNone");
  EXPECT_EQ(odd[1].context + odd[1].continuation, "1.57");
}

TEST(CoreTasksTest, MalformedLinesAreRefusedByFileAndLine) {
  const test::CoreBundle bundle;
  const CoreTask task = read_core_tasks(bundle.path())[0];
  const std::string good = R"({"query": "q", "choices": ["a", "b"], "gold": 1})";
  const std::pair<std::string, std::string> cases[] = {
      {"{\"query\": ", "a JSON object is expected"},
      {"[1, 2]", "a JSON object is expected"},
      {R"({"query": "q", "choices": ["a", "b"]})", "no 'gold'"},
      {R"({"query": "q", "choices": ["a", "b"], "gold": 2})", "'gold' is 2: expected 0 to 1"},
      {R"({"query": "q", "choices": ["a", "b"], "gold": "1"})", "'gold' is \"1\""},
      {R"({"query": "q", "choices": ["a"], "gold": 0})", "two texts or more"},
      {R"({"query": ["q"], "choices": ["a", "b"], "gold": 0})", "'query': expected a text"}};
  for (const auto& [line, why] : cases) {
    bundle.write("eval_data/numbers/sums.jsonl", good + "\n\n" + line + "\n" + good + "\n");
    const std::string message =
        test::refusal<DataError>([&] { static_cast<void>(read_core_examples(task)); });
    EXPECT_SAYS(message, "sums.jsonl:3: ");
    EXPECT_SAYS(message, why);
  }
}

TEST(CoreTasksTest, MalformedListsAreRefusedByFileAndLine) {
  const auto refusal = [](std::string_view file, std::string_view text) {
    const test::CoreBundle bundle;
    bundle.write(file, text);
    return test::refusal<DataError>([&] { static_cast<void>(read_core_tasks(bundle.path())); });
  };
  EXPECT_SAYS(refusal("core.yaml", "icl_tasks:\n- label: [a\n"), "core.yaml:");
  EXPECT_SAYS(refusal("core.yaml", "tasks: []\n"), "no list icl_tasks");
  const std::string task = "icl_tasks:\n- label: sums\n  dataset_uri: a.jsonl\n";
  const std::string no_shots = refusal("core.yaml", task + "  icl_task_type: schema\n");
  EXPECT_SAYS(no_shots, "core.yaml:2: num_fewshot");
  EXPECT_SAYS(refusal("core.yaml", task + "  icl_task_type: quiz\n  num_fewshot: [1]\n"),
              "icl_task_type 'quiz'");
  EXPECT_SAYS(refusal("eval_meta_data.csv", "Eval Task,Baseline\nsums,25\n"),
              "eval_meta_data.csv:1: no column 'Random baseline'");
  EXPECT_SAYS(refusal("eval_meta_data.csv", "Eval Task,Random baseline\nsums,\"a\nb\"\n"),
              "eval_meta_data.csv:2: the random baseline");
  EXPECT_SAYS(refusal("eval_meta_data.csv", "Eval Task,Random baseline\nsums,25\nx,100\n"),
              "eval_meta_data.csv:3");
  EXPECT_SAYS(refusal("eval_meta_data.csv", "Eval Task,Random baseline\nsums,25\n"),
              "no row for 'pronouns'");
}

TEST(CorePromptsTest, TooFewExamplesAreRefused) {
  EXPECT_EQ(pick_fewshot(3, 4, 3).size(), 3u);
  const std::string message =
      test::refusal<DataError>([] { static_cast<void>(pick_fewshot(3, 4, 4)); });
  EXPECT_SAYS(message, "4 examples are to come before a question, of 3 others");
}

TEST(CorePromptsTest, AQuestionIsNeverAmongItsOwnExamples) {
  for (int64_t i = 0; i < 30; ++i) {
    for (const int64_t pick : pick_fewshot(i, 30, 10)) {
      EXPECT_NE(pick, i);
      EXPECT_GE(pick, 0);
      EXPECT_LT(pick, 30);
    }
  }
}

TEST(CorePromptsTest, StrippingIsPythons) {
  EXPECT_EQ(python_strip(" \t\n\x1c\u00a0\u3000 a b\u200b \u2028"), "a b\u200b");
  EXPECT_EQ(python_strip(" \u00a0"), "");
  EXPECT_EQ(python_strip("\xff x \xff"), "\xff x \xff");
}

TEST(CorePromptsTest, WhatIsTooLongLosesItsFront) {
  const std::vector<std::vector<int32_t>> tokens{{9, 1, 2, 3, 4}, {9, 1, 2, 5, 6, 7}};
  auto found = core_sequences(CoreFormat::kMultipleChoice, tokens, 4);
  EXPECT_EQ(found[0].tokens, (std::vector<int32_t>{1, 2, 3, 4}));
  EXPECT_EQ(found[0].begin, 2);
  EXPECT_EQ(found[1].tokens, (std::vector<int32_t>{2, 5, 6, 7}));
  EXPECT_EQ(found[1].begin, 1);
  EXPECT_EQ(found[1].cropped, 2);
  found = core_sequences(CoreFormat::kMultipleChoice, tokens, 2);  // not all that counts fits
  EXPECT_EQ(found[1].tokens, (std::vector<int32_t>{6, 7}));
  EXPECT_EQ(found[1].begin, 1);
  EXPECT_EQ(found[1].end, 2);
}

TEST(CorePromptsTest, AnEmptyContinuationIsRefused) {
  const std::string message = test::refusal<DataError>([] {
    static_cast<void>(core_sequences(CoreFormat::kLanguageModeling, {{9, 1}, {9, 1}}, 10));
  });
  EXPECT_SAYS(message, "the continuation is empty");
}

}  // namespace
}  // namespace nanochat
