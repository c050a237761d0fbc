// labels: unit parity
/// ARC, MMLU, GSM8K, HumanEval, SmolTalk and own conversations out of small files of our own.
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "core/error.h"
#include "support/compressed.h"
#include "support/fixtures.h"
#include "support/refusal.h"
#include "support/temporary_folder.h"
#include "tasks/custom_json.h"
#include "tasks/final_answer.h"
#include "tasks/gsm8k.h"
#include "tasks/humaneval.h"
#include "tasks/multiple_choice.h"
#include "tasks/python_random.h"
#include "tasks/registry.h"
#ifdef NANOCHAT_ARROW
#include "support/parquet_file.h"
#endif

namespace nanochat {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using test::TemporaryFolder;

const std::string& text_of(const Message& message) {
  return std::get<std::string>(message.content);
}
const std::string& question(const TaskExample& example) {
  return text_of(example.conversation.messages.front());
}
const std::string& answer(const TaskExample& example) {
  return text_of(example.conversation.messages.back());
}
const std::vector<MessagePart>& parts(const TaskExample& example) {
  return std::get<std::vector<MessagePart>>(example.conversation.messages.back().content);
}

class DatasetsTest : public ::testing::Test {
 protected:
  TaskPtr make(std::string_view spec) { return make_task(spec, data_); }
  void write(std::string_view name, std::string_view text) { folder_.write(name, text); }
  /// What the first example of the task says is wrong with its row.
  std::string refusal(std::string_view spec) {
    return test::refusal<DataError>([&] { static_cast<void>(make(spec)->example(0)); });
  }

  TemporaryFolder folder_;
  TaskData data_{.base_dir = folder_.path()};
};

constexpr const char* kArcRow =
    R"({"id": "x", "question": "Which one is wet?", "choices": {"text": ["fire", "water", "air"],)"
    R"( "label": ["1", "2", "3"]}, "answerKey": "2"})";

TEST_F(DatasetsTest, ArcAsksForALetterOfTheRow) {
  write("data/arc/ARC-Easy/test.jsonl", kArcRow);
  const TaskPtr task = make("arc-easy:test");
  EXPECT_EQ(task->name(), "ARC-Easy");
  EXPECT_EQ(task->eval_type(), EvalType::kCategorical);
  EXPECT_FALSE(task->has_reward());
  const TaskExample example = task->example(0);
  EXPECT_EQ(question(example),
            "Multiple Choice question: Which one is wet?\n- fire=1\n- water=2\n- air=3\n\n"
            "Respond only with the letter of the correct answer.");
  EXPECT_EQ(answer(example), "2");
  EXPECT_EQ(example.letters, (std::vector<std::string>{"1", "2", "3"}));
  EXPECT_TRUE(task->evaluate(0, "2"));
  for (const char* const wrong : {"1", "B", " 2", "", "nonsense"}) {
    EXPECT_FALSE(task->evaluate(0, wrong)) << wrong;
  }
}

TEST_F(DatasetsTest, MmluUnwrapsTheRowsOfItsOlderForm) {
  const std::string row =
      R"({"question": "q", "choices": ["a", "b", "c", "d"], "answer": 3, "subject": "law"})";
  write("data/mmlu/all/test.jsonl", row);
  write("data/mmlu/auxiliary_train/train.jsonl", R"({"train": )" + row + "}");
  for (const char* const spec : {"mmlu:test", "mmlu:auxiliary_train", "mmlu"}) {
    const TaskPtr task = make(spec);
    const TaskExample example = task->example(0);
    EXPECT_EQ(answer(example), "D") << spec;
    EXPECT_EQ(example.subject, "law") << spec;
    EXPECT_EQ(example.letters.size(), 4U) << spec;
    EXPECT_TRUE(task->evaluate(0, "D")) << spec;
    EXPECT_FALSE(task->evaluate(0, "A")) << spec;
  }
}

TEST_F(DatasetsTest, Gsm8kUsesTheToolWhereTheAnswerCalculates) {
  write("data/gsm8k/main/train.jsonl",
        R"({"question": "q", "answer": "So 2*3=<<2*3=6>>6.\n#### 6"})");
  const TaskPtr task = make("gsm8k");
  EXPECT_TRUE(task->has_reward());
  const std::vector<MessagePart> expected{{PartType::kText, "So 2*3="},
                                          {PartType::kPython, "2*3"},
                                          {PartType::kPythonOutput, "6"},
                                          {PartType::kText, "6.\n#### 6"}};
  EXPECT_EQ(parts(task->example(0)), expected);
  EXPECT_EQ(task->reward(0, "I think\n#### 6"), 1.0);
  EXPECT_EQ(task->reward(0, "6"), 0.0);
}

TEST_F(DatasetsTest, SmolTalkGivesConversationsAsTheyAre) {
  write("data/smol-smoltalk/default/train.jsonl",
        R"({"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "u"},)"
        R"( {"role": "assistant", "content": "a"}], "source": "x"})");
  const TaskPtr task = make("smoltalk");
  EXPECT_EQ(task->eval_type(), EvalType::kNone);
  EXPECT_FALSE(task->has_reward());
  EXPECT_EQ(task->example(0).conversation.messages.size(), 3U);
  EXPECT_SAYS(test::refusal<UsageError>([&] { static_cast<void>(task->evaluate(0, "a")); }),
              "for training only");
}

TEST_F(DatasetsTest, RowsComeInUpstreamsOrder) {
  std::string lines;
  for (int i = 0; i < 10; ++i) {
    lines += fmt::format("{{\"question\": \"{}\", \"answer\": \"#### {}\"}}\n", i, i);
  }
  write("data/gsm8k/main/test.jsonl", lines);
  const TaskPtr task = make("gsm8k:test");
  const std::vector<uint32_t> order = numpy_permutation_42(10);
  EXPECT_EQ(order[0], 5U);
  for (int64_t i = 0; i < 10; ++i) {
    EXPECT_EQ(question(task->example(i)), std::to_string(order[static_cast<size_t>(i)]));
  }
  EXPECT_EQ(question(make("gsm8k:test:3")->example(2)), std::to_string(order[2]));
}

TEST_F(DatasetsTest, FilesAreFoundInEveryUsualPlace) {
  for (const char* const place :
       {"data/arc/ARC-Easy/test.jsonl", "data/arc/ARC-Easy/test/00000.jsonl",
        "data/arc/ARC-Easy-test.jsonl", "data/ai2_arc/ARC-Easy/test-00000-of-00001.jsonl",
        "task_data/allenai--ai2_arc/ARC-Easy/test/00000.jsonl", "given/arc/ARC-Easy-test.jsonl"}) {
    const TemporaryFolder base;
    base.write(place, kArcRow);
    const TaskData data{.base_dir = base.path(), .folders = {base / "given"}};
    EXPECT_EQ(make_task("ARC-Easy:test", data)->size(), 1) << place;
    EXPECT_THROW(static_cast<void>(make_task("ARC-Challenge:test", data)), NotFoundError) << place;
  }
  // A data set's own folder may be given too, and what is given is looked at first.
  write("mine/gsm8k/test.jsonl", R"({"question": "mine", "answer": "#### 1"})");
  write("data/gsm8k/main/test.jsonl", R"({"question": "theirs", "answer": "#### 1"})");
  data_.folders = {folder_ / "mine" / "gsm8k" / ""};
  EXPECT_EQ(question(make("gsm8k:test")->example(0)), "mine");
}

TEST_F(DatasetsTest, SeveralFilesAreOneSplitAndAMissingOneIsNoticed) {
  const auto row = [](int i) {
    return fmt::format("{{\"question\": \"{}\", \"answer\": \"#### 1\"}}\n", i);
  };
  write("data/gsm8k/main/train-00000-of-00002.jsonl", row(0));
  EXPECT_SAYS(test::refusal<DataError>([&] { make("gsm8k"); }), "1 of 2 files");
  write("data/gsm8k/main/train-00001-of-00002.jsonl", row(1) + row(2));
  EXPECT_EQ(make("gsm8k")->size(), 3);
}

TEST_F(DatasetsTest, CompressedFilesAreRead) {
  const std::string lines = std::string("\xEF\xBB\xBF") + kArcRow + "\r\n\n" + kArcRow;
  write("data/arc/ARC-Easy-test.jsonl.gz", test::gzip(lines));
  write("data/arc/ARC-Easy-train.jsonl.zst", test::zstd(lines));
  EXPECT_EQ(answer(make("arc-easy:test")->example(1)), "2");
  EXPECT_EQ(make("arc-easy:train")->size(), 2);
}

TEST_F(DatasetsTest, AMalformedRowIsNamedByFileAndLine) {
  write("data/gsm8k/test.jsonl", "\n{\"question\": \"q\"\n");
  EXPECT_SAYS(refusal("gsm8k:test"), "gsm8k/test.jsonl:2: not valid JSON");
  write("data/gsm8k/test.jsonl", "\n\n[1]\n");
  EXPECT_SAYS(refusal("gsm8k:test"), "test.jsonl:3: not a JSON object");
  write("data/gsm8k/test.jsonl", R"({"question": "q"})");
  EXPECT_SAYS(refusal("gsm8k:test"), "test.jsonl:1: no 'answer'");
  write("data/gsm8k/test.jsonl", R"({"question": "q", "answer": 3})");
  EXPECT_SAYS(refusal("gsm8k:test"), "'answer' is number, not a string");
  write("data/gsm8k/test.jsonl", R"({"question": "q", "answer": "it is 3"})");
  EXPECT_SAYS(refusal("gsm8k:test"), "does not end in a number");
  write("data/mmlu/test.jsonl",
        R"({"question": "q", "choices": ["a", "b"], "answer": 0, "subject": ""})");
  EXPECT_SAYS(refusal("mmlu:test"), "test.jsonl:1: 2 choices and the answer 0, expected 4");
  write("data/mmlu/test.jsonl",
        R"({"question": "q", "choices": ["a", "b", "c", "d"], "answer": 4, "subject": ""})");
  EXPECT_SAYS(refusal("mmlu:test"), "the answer 4");
  write("data/arc/ARC-Easy-test.jsonl",
        R"({"question": "q", "choices": {"text": ["a", "b"], "label": ["A", "B"]},)"
        R"( "answerKey": "C"})");
  EXPECT_SAYS(refusal("arc-easy:test"), "the answer 'C' must be one of these");
  write("data/smol-smoltalk/train.jsonl",
        R"({"messages": [{"role": "user", "content": "u"}, {"role": "user", "content": "u"}]})");
  EXPECT_SAYS(refusal("smoltalk"), "train.jsonl:1: message 1: role 'user', expected 'assistant'");
}

TEST_F(DatasetsTest, OwnConversationsMayHaveAnyOfThreeForms) {
  const std::string path = folder_.write(
      "own.jsonl",
      R"([{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}])"
      "\n\n"
      R"({"messages": [{"role": "user", "content": "c"}, {"role": "assistant", "content": [)"
      R"({"type": "python", "text": "1"}]}, {"role": "user", "content": "left out"}]})"
      "\n"
      R"({"prompt": "e", "completion": "f"})");
  const TaskPtr task = make(path);
  ASSERT_EQ(task->size(), 3);
  EXPECT_EQ(task->name(), "own.jsonl");
  EXPECT_EQ(question(task->example(0)), "a") << "in the order of the file";
  EXPECT_EQ(parts(task->example(1)), (std::vector<MessagePart>{{PartType::kPython, "1"}}));
  EXPECT_EQ(task->example(2).conversation, (Conversation{{{Role::kUser, "e"},  //
                                                          {Role::kAssistant, "f"}}}));
}

TEST_F(DatasetsTest, AMalformedConversationIsFoundBeforeTrainingStarts) {
  const auto says = [&](std::string_view line) {
    const std::string good = R"({"prompt": "e", "completion": "f"})";
    const std::string path = folder_.write("own.jsonl", good + "\n" + std::string(line) + "\n");
    return test::refusal<DataError>([&] { static_cast<void>(make(path)); });
  };
  EXPECT_SAYS(says("{"), "own.jsonl:2: not valid JSON");
  EXPECT_SAYS(says("[]"), "own.jsonl:2: message 0: not there");
  EXPECT_SAYS(says("{\"a\": 1}"), "own.jsonl:2: no 'messages'");
  EXPECT_SAYS(says(R"([{"role": "user", "content": "a"}])"), "own.jsonl:2: nothing to learn");
  EXPECT_SAYS(says(R"([{"role": "assistant", "content": "a"}])"),
              "own.jsonl:2: message 0: role 'assistant', expected 'user'");
  EXPECT_SAYS(says(R"([{"role": "user", "content": 1}])"), "own.jsonl:2: message 0");
  EXPECT_SAYS(says(R"({"prompt": "a", "completion": 1})"), "own.jsonl:2: 'prompt'");
}

constexpr const char* kHumanEvalRow =
    R"({"prompt": "import math\n\ndef twice(x):\n    \"\"\"Double x.\"\"\"\n",)"
    R"( "canonical_solution": "    return 2 * x", "entry_point": "twice",)"
    R"( "test": "def check(f):\n    assert f(2) == 4 and f(-1) == -2\n"})";

TEST_F(DatasetsTest, HumanEvalRunsTheAnswerAgainstTheTests) {
  write("data/humaneval/HumanEval.jsonl", kHumanEvalRow);
  const TaskPtr task = make("humaneval");
  EXPECT_EQ(question(task->example(0)),
            "import math\n\ndef twice(x):\n    \"\"\"Double x.\"\"\"\n");
  try {
    EXPECT_TRUE(task->evaluate(0, answer(task->example(0))));
  } catch (const DeviceError& e) {
    GTEST_SKIP() << "no sandbox here: " << e.what();
  }
  EXPECT_TRUE(task->evaluate(
      0, "Sure:\n```python\ndef twice(x):\n    return int(math.pow(2, 1)) * x\n```"));
  EXPECT_FALSE(task->evaluate(0, "def twice(x):\n    return 3 * x"));
  EXPECT_FALSE(task->evaluate(0, "```python\ndef twice(x):\n    return 2 * x")) << "not closed";
  EXPECT_FALSE(task->evaluate(0, "    return 2 * x")) << "the signature is wanted too";
  EXPECT_FALSE(task->evaluate(0, "import sys; sys.exit(0)"));
  EXPECT_FALSE(task->evaluate(0, ""));
}

TEST(FinalAnswerTest, NeedsTheMarkAndANumberBehindIt) {
  EXPECT_EQ(final_answer("#### 1,234 apples"), "1234");
  EXPECT_EQ(final_answer("#### x #### -2.50"), "-2.50");
  EXPECT_EQ(final_answer("####5"), std::nullopt);
  EXPECT_EQ(final_answer("#### -"), std::nullopt);
  EXPECT_EQ(final_answer("#### "), std::nullopt);
}

#ifdef NANOCHAT_ARROW

TEST_F(DatasetsTest, ParquetFilesOfTheHubAreRead) {
  fs::create_directories(folder_ / "data" / "arc" / "ARC-Easy" / "test");
  test::write_parquet_table(
      folder_ / "data" / "arc" / "ARC-Easy" / "test" / "00000.parquet",
      {arrow::field("question", arrow::utf8()),
       arrow::field("choices", arrow::struct_({arrow::field("text", arrow::list(arrow::utf8())),
                                               arrow::field("label", arrow::list(arrow::utf8()))})),
       arrow::field("answerKey", arrow::utf8())},
      R"([{"question": "q", "choices": {"text": ["a", "b"], "label": ["A", "B"]},)"
      R"( "answerKey": "B"},)"
      R"( {"question": "q", "choices": {"text": ["a"], "label": ["A"]}, "answerKey": "B"}])");
  const TaskPtr task = make("arc-easy:test");
  ASSERT_EQ(task->size(), 2);
  std::string says;
  for (int64_t i = 0; i < 2; ++i) {
    try {
      EXPECT_EQ(answer(task->example(i)), "B");
    } catch (const DataError& e) {
      says = e.what();
    }
  }
  EXPECT_SAYS(says, "00000.parquet: row 1: ");

  fs::create_directories(folder_ / "data" / "smol-smoltalk" / "default" / "train");
  test::write_parquet_table(
      folder_ / "data" / "smol-smoltalk" / "default" / "train" / "00000.parquet",
      {arrow::field("messages",
                    arrow::list(arrow::struct_({arrow::field("role", arrow::utf8()),
                                                arrow::field("content", arrow::utf8())}))),
       arrow::field("source", arrow::utf8())},
      R"([{"messages": [{"role": "user", "content": "你好\n"},)"
      R"( {"role": "assistant", "content": "\"hi\""}], "source": "x"}])");
  EXPECT_EQ(make("smoltalk")->example(0).conversation,
            (Conversation{{{Role::kUser, "你好\n"}, {Role::kAssistant, "\"hi\""}}}));
}

#endif

/// A fixture of the tasks folder, or a skip.
class TaskFixtures : public ::testing::Test {
 protected:
  bool load(const char* name) {
    const auto paths = test::find_fixtures(std::string("tasks/") + name);
    if (!paths.empty()) fixture_ = test::load_json(paths.front());
    return !paths.empty();
  }

  json fixture_;
};

TEST_F(TaskFixtures, MultipleChoiceQuestionsReadAsUpstreams) {
  if (!load("render_mc.json")) GTEST_SKIP() << test::missing_fixture("tasks/render_mc.json");
  int n = 0;
  for (const json& c : fixture_.front()) {
    EXPECT_EQ(render_multiple_choice(c.at("question").get<std::string>(),
                                     c.at("letters").get<std::vector<std::string>>(),
                                     c.at("choices").get<std::vector<std::string>>()),
              c.at("rendered"));
    ++n;
  }
  EXPECT_GT(n, 1);
}

TEST_F(TaskFixtures, Gsm8kPartsAnswersAndJudgementsAreUpstreams) {
  if (!load("gsm8k.json")) GTEST_SKIP() << test::missing_fixture("tasks/gsm8k.json");
  const TemporaryFolder folder;
  std::vector<TaskPtr> rows;  // one task for each, since a task shuffles its rows
  for (size_t i = 0; i < fixture_.at("rows").size(); ++i) {
    const std::string name = std::to_string(i);
    folder.write(name + "/gsm8k/test.jsonl", fixture_.at("rows")[i].dump());
    rows.push_back(
        make_task("gsm8k:test", {.base_dir = folder.path(), .folders = {folder / name}}));
    EXPECT_EQ(rows.back()->example(0).conversation,
              parse_conversation(fixture_.at("examples")[i].dump(), "fixture"));
  }
  for (const json& c : fixture_.at("extract_answer")) {
    const std::optional<std::string> found = final_answer(c.at("text").get<std::string>());
    EXPECT_EQ(found ? json(*found) : json(), c.at("answer")) << c.dump();
  }
  for (const json& c : fixture_.at("evaluate")) {
    const TaskPtr& task = rows.at(c.at("row").get<size_t>());
    EXPECT_EQ(task->evaluate(0, c.at("response").get<std::string>()), c.at("correct").get<bool>())
        << c.dump();
  }
}

TEST_F(TaskFixtures, HumanEvalProgramsAndImportsAreUpstreams) {
  if (!load("humaneval.json")) GTEST_SKIP() << test::missing_fixture("tasks/humaneval.json");
  for (const json& c : fixture_.at("extract_program")) {
    EXPECT_EQ(fenced_program(c.at("text").get<std::string>()), c.at("program")) << c.dump();
  }
  for (const json& c : fixture_.at("extract_imports")) {
    EXPECT_EQ(leading_imports(c.at("text").get<std::string>()), c.at("imports")) << c.dump();
  }
}

}  // namespace
}  // namespace nanochat
