// labels: e2e
// nanochat eval core and chat, with models that say one thing only.
#include <filesystem>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "engine/small_model.h"
#include "eval/core_bundle.h"
#include "support/program.h"
#include "support/zip_file.h"
#include "tokenizer/formats.h"
#include "tokenizer/small_vocabulary.h"
#include "tokenizer/tokenizer.h"
#include "train/checkpoint.h"

namespace nanochat {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using test::file_bytes;
using test::ProgramResult;
using ::testing::HasSubstr;
using Words = std::vector<std::string>;

constexpr int32_t kAssistantStart = 259, kAssistantEnd = 260;

class EvalTest : public ::testing::Test {
 protected:
  [[nodiscard]] fs::path base() const { return folder_ / "base"; }
  /// A model that says these ids after <|assistant_start|>.
  void make_model(const std::string& stage, const std::vector<int32_t>& ids) const {
    const Tokenizer tokenizer(test::small_vocabulary({}));
    std::map<int32_t, int32_t> successor;
    int32_t before = kAssistantStart;
    for (const int32_t id : ids) before = successor[before] = id;
    const fs::path folder = base() / "runs" / stage / "d1";
    const RunFolder run(folder);
    save_checkpoint(run, 1, *test::bigram_weights(successor, tokenizer.vocab_size(), 128), {},
                    {{"stage", stage}});
    save_vocabulary(tokenizer.vocabulary(), folder);
  }
  [[nodiscard]] ProgramResult eval(Words more) const {
    more.insert(more.begin(), "eval");
    more.insert(more.end(), {"--base-dir", base().string(), "--threads", "1"});
    return test::run_program(more);
  }
  static std::vector<json> lines_of(const fs::path& path) {
    std::vector<json> lines;
    std::istringstream text(file_bytes(path));
    for (std::string line; std::getline(text, line);) lines.push_back(json::parse(line));
    return lines;
  }
  /// Five questions, the first of which has the answer B.
  [[nodiscard]] std::string write_arc() const {
    std::string rows;
    for (int i = 0; i < 5; ++i) {
      rows += fmt::format(
          R"({{"question": "Which one is {}?", "choices": {{"text": ["a", "b", "c"], "label": ["A", "B", "C"]}}, "answerKey": "{}"}})"
          "\n",
          i, i == 0 ? "B" : "C");
    }
    folder_.write("data/arc/ARC-Easy-test.jsonl", rows);
    return (folder_ / "data").string();
  }

  const test::TemporaryFolder folder_;
};

// ---- core --------------------------------------------------------------------------------------

TEST_F(EvalTest, CoreIsATableAFileARecordOfEachExampleAndOneObject) {
  make_model("base", {'x'});
  const test::CoreBundle bundle;
  const std::string records = (folder_ / "records.jsonl").string();
  const Words command{"core", "--bundle", bundle.path().string(), "--records", records};
  const ProgramResult r = eval(command);
  ASSERT_EQ(r.exit_code, 0) << r.err;
  EXPECT_THAT(r.out, HasSubstr("sums "));
  EXPECT_THAT(r.out, HasSubstr("12 examples"));
  EXPECT_THAT(r.out, HasSubstr("\nCORE "));
  EXPECT_THAT(r.err, HasSubstr("left out of the mean: lost"));
  const auto lines = lines_of(records);
  ASSERT_EQ(lines.size(), 36u);
  EXPECT_EQ(lines[0].at("task"), "sums");
  EXPECT_EQ(lines[0].at("losses").size(), 4u);
  EXPECT_THAT(lines[0].at("place").get<std::string>(), HasSubstr("sums.jsonl:"));
  EXPECT_EQ(lines[35].at("task"), "rhymes");
  EXPECT_TRUE(lines[35].contains("answer"));
  EXPECT_THAT(file_bytes(base() / "eval/base-d1-1-core.csv"),
              HasSubstr("\nCORE                               ,           , "));

  Words more = command;
  more.insert(more.end(), {"--json", "--batch-size", "3"});
  const ProgramResult again = eval(more);
  const json object = json::parse(again.out);
  EXPECT_EQ(object.at("model"), "base:d1@1");
  EXPECT_EQ(object.at("missing"), json({"lost"}));
  EXPECT_EQ(object.at("tasks").at("sums").at("examples"), 12);
  EXPECT_LT(object.at("computed_tokens"), object.at("tokens"));
  EXPECT_EQ(lines_of(records), lines);
  EXPECT_THAT(r.out, HasSubstr(fmt::format("{:.4f} +-", object.at("core_metric").get<double>())));
}

TEST_F(EvalTest, CoreFindsAndUnpacksTheBundleThatIsThere) {
  make_model("base", {'x'});
  const ProgramResult none = eval({"core"});
  EXPECT_EQ(none.exit_code, 4);
  EXPECT_THAT(none.err, HasSubstr("nanochat data download core-eval-bundle"));
  test::write_zip(
      (base() / "eval_bundle.zip").string(),
      {{"eval_bundle/core.yaml",
        "icl_tasks:\n- {label: one, dataset_uri: one.jsonl, num_fewshot: [0], "
        "icl_task_type: language_modeling}\n"},
       {"eval_bundle/eval_meta_data.csv", "Eval Task,Random baseline\none,0\n"},
       {"eval_bundle/eval_data/one.jsonl", R"({"context": "a", "continuation": "b"})"}});
  const ProgramResult r = eval({"core"});
  EXPECT_EQ(r.exit_code, 0) << r.err;
  EXPECT_THAT(r.out, HasSubstr("1 examples"));
}

TEST_F(EvalTest, CoreRefusesWhatIsWrongByName) {
  make_model("base", {'x'});
  const test::CoreBundle bundle;
  const auto refusal = [&](const Words& more, int exit_code) {
    Words words{"core", "--bundle", bundle.path().string()};
    words.insert(words.end(), more.begin(), more.end());
    const ProgramResult r = eval(words);
    EXPECT_EQ(r.exit_code, exit_code) << r.err;
    return r.err;
  };
  EXPECT_THAT(refusal({"--tasks", "sums,rimes"}, 4),
              HasSubstr("no task 'rimes' in core.yaml: there are sums, pronouns, rhymes, lost"));
  EXPECT_THAT(refusal({"--tasks", "lost"}, 4), HasSubstr("no file of the tasks is there"));
  EXPECT_THAT(refusal({"--max-per-task", "2"}, 3), HasSubstr("--max-per-task"));
  bundle.write("eval_data/words/rhymes.jsonl",
               "{\"context\": \"a\", \"continuation\": \"b\"}\n{\n");
  EXPECT_THAT(refusal({"--tasks", "rhymes"}, 3), HasSubstr("rhymes.jsonl:2: "));
}

// ---- chat --------------------------------------------------------------------------------------

TEST_F(EvalTest, ChatExaminesWithLetters) {
  make_model("sft", {'C', kAssistantEnd});
  const std::string records = (folder_ / "records.jsonl").string();
  const ProgramResult r = eval(
      {"chat", "-i", "sft", "-a", "arc-easy", "--task-data", write_arc(), "--records", records});
  ASSERT_EQ(r.exit_code, 0) << r.err;
  EXPECT_THAT(r.out, HasSubstr("ARC-Easy"));
  EXPECT_THAT(r.out, HasSubstr("0.8000 +- 0.1789"));
  const auto lines = lines_of(records);
  ASSERT_EQ(lines.size(), 5u);
  EXPECT_EQ(lines[0].at("answers"), json({"C"}));
  EXPECT_EQ(lines[0].at("letters"), json({"A", "B", "C"}));
}

TEST_F(EvalTest, ChatExaminesWithWrittenAnswersAndGivesOneObject) {
  make_model("sft", {'x', kAssistantEnd});
  const ProgramResult r =
      eval({"chat", "-a", "SpellingBee|World-Facts", "-x", "3", "-m", "5", "-b", "2", "--json"});
  ASSERT_EQ(r.exit_code, 0) << r.err;
  const json object = json::parse(r.out);
  EXPECT_EQ(object.at("model"), "sft:d1@1");
  EXPECT_EQ(object.at("tasks").at("SpellingBee").at("examples"), 3);
  EXPECT_EQ(object.at("tasks").at("SpellingBee").at("accuracy"), 0);
  EXPECT_TRUE(object.at("tasks").contains("World-Facts"));
  EXPECT_FALSE(object.contains("chatcore"));
}

TEST_F(EvalTest, OfAllChatTasksThoseWithoutTheirDataAreNamedAndThereIsNoChatCore) {
  make_model("sft", {'C', kAssistantEnd});
  const ProgramResult r = eval({"chat", "-x", "0", "--task-data", write_arc(), "--json"});
  ASSERT_EQ(r.exit_code, 0) << r.err;
  const json object = json::parse(r.out);
  EXPECT_EQ(object.at("missing"), json({"ARC-Challenge", "MMLU", "GSM8K", "HumanEval"}));
  EXPECT_THAT(r.err, HasSubstr("nanochat data download mmlu"));
  EXPECT_EQ(object.at("tasks").at("ARC-Easy").at("examples"), 0);  // by -x 0
  EXPECT_TRUE(object.at("tasks").at("ARC-Easy").at("accuracy").is_null());
  EXPECT_FALSE(object.contains("chatcore"));
}

TEST_F(EvalTest, ChatRefusesWhatIsWrongByName) {
  make_model("sft", {'C'});
  const auto refusal = [&](Words more, int exit_code) {
    more.insert(more.begin(), "chat");
    const ProgramResult r = eval(std::move(more));
    EXPECT_EQ(r.exit_code, exit_code) << r.err;
    return r.err;
  };
  const std::string unknown = refusal({"-a", "riddles"}, 4);
  EXPECT_THAT(unknown, HasSubstr("'riddles'"));
  EXPECT_THAT(unknown, HasSubstr("SpellingBee"));
  EXPECT_THAT(refusal({"-a", "MMLU"}, 4), HasSubstr("nanochat data download mmlu"));
  EXPECT_THAT(refusal({"-a", "identity"}, 2), HasSubstr("nobody judges"));
  EXPECT_THAT(refusal({"sft", "-i", "sft"}, 2), HasSubstr("leave one away"));
  EXPECT_THAT(refusal({"-a", "SpellingBee", "-g", "d9"}, 4), HasSubstr("d9"));
}

}  // namespace
}  // namespace nanochat
