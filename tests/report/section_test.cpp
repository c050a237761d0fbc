#include "report/section.h"

#include <cmath>
#include <fstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "core/error.h"
#include "support/temporary_folder.h"

namespace nanochat {
namespace {

using Json = nlohmann::ordered_json;
namespace fs = std::filesystem;

class SectionTest : public testing::Test {
 protected:
  void write(Section section) const { write_section(folder_.path(), std::move(section)); }
  Section read(std::string_view name) const {
    const auto section = read_section(folder_.path(), name);
    EXPECT_TRUE(section.has_value()) << name;
    return section.value_or(Section{});
  }
  test::TemporaryFolder folder_;
};

Section evaluation(const std::string& model_id, Json results) {
  return {.name = "chat-evaluation-sft",
          .model = "sft:d2@9",
          .model_id = model_id,
          .seconds = 10,
          .results = std::move(results)};
}

Json task(double accuracy, int64_t examples, double baseline = 0) {
  return {{"accuracy", accuracy}, {"examples", examples}, {"baseline", baseline}};
}

TEST_F(SectionTest, ComesBackAsItWasWritten) {
  write({.name = "chat-sft",
         .model = "sft:d2@9",
         .model_id = "00ff",
         .command = "nanochat train sft",
         .started = 1'700'000'000,
         .finished = 1'700'000'060,
         .seconds = 60.5,
         .settings = {{"depth", 2}},
         .results = {{"val_bpb", 1.25}}});
  const Section s = read("chat-sft");
  EXPECT_EQ(s.model, "sft:d2@9");
  EXPECT_EQ(s.model_id, "00ff");
  EXPECT_EQ(s.command, "nanochat train sft");
  EXPECT_EQ(s.started, 1'700'000'000);
  EXPECT_EQ(s.finished, 1'700'000'060);
  EXPECT_EQ(s.seconds, 60.5);
  EXPECT_EQ(s.settings, (Json{{"depth", 2}}));
  EXPECT_EQ(s.results, (Json{{"val_bpb", 1.25}}));
  EXPECT_EQ(iso_time(s.started), "2023-11-14T22:13:20Z");
}

TEST_F(SectionTest, LeavesNoHalfWrittenFileAndNothingElseBeside) {
  write({.name = "chat-sft"});
  write({.name = "chat-sft", .model = "again"});
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder_.path() / "report")) {
    names.push_back(entry.path().filename().string());
  }
  EXPECT_EQ(names, std::vector<std::string>{"chat-sft.json"});
  EXPECT_EQ(read("chat-sft").model, "again");
}

TEST_F(SectionTest, AreReadInTheOrderOfTheReportWhateverOrderTheyWereWrittenIn) {
  for (const char* name : {"chat-evaluation-rl", "base-model-training", "tokenizer-evaluation",
                           "midtraining", "tokenizer-training"}) {
    write({.name = name});
  }
  std::vector<std::string> problems, names;
  for (const Section& s : read_sections(folder_.path(), problems)) names.push_back(s.name);
  EXPECT_EQ(names,
            (std::vector<std::string>{"tokenizer-training", "tokenizer-evaluation",
                                      "base-model-training", "midtraining", "chat-evaluation-rl"}));
  EXPECT_TRUE(problems.empty());
}

TEST_F(SectionTest, ADamagedFileIsAProblemAndTheOthersAreStillRead) {
  write({.name = "chat-sft"});
  folder_.write("report/midtraining.json", "{\"format\": \"nanochat-rep");
  folder_.write("report/chat-rl.json", "[1, 2]");
  std::vector<std::string> problems;
  EXPECT_EQ(read_sections(folder_.path(), problems).size(), 1U);
  ASSERT_EQ(problems.size(), 2U);
  EXPECT_NE(problems[0].find("midtraining.json"), std::string::npos) << problems[0];
  EXPECT_THROW(static_cast<void>(read_section(folder_.path(), "chat-rl")), DataError);
  write({.name = "chat-rl"});  // and the next run mends it
  EXPECT_EQ(read("chat-rl").name, "chat-rl");
}

TEST_F(SectionTest, OneTasksEvaluationAddsToAnEarlierOneOfTheSameWeights) {
  write(evaluation("aa", {{"tasks", {{"A", task(0.5, 100)}, {"B", task(0.4, 100, 0.25)}}},
                          {"chatcore", 0.35},
                          {"chatcore_tasks", {"A", "B"}}}));
  write(evaluation("aa", {{"tasks", {{"B", task(0.7, 400, 0.25)}}}}));
  const Section s = read("chat-evaluation-sft");
  const std::vector<EvalScore> scores = task_scores(s.results);
  ASSERT_EQ(scores.size(), 2U);
  EXPECT_EQ(scores[0].task, "B");
  EXPECT_EQ(scores[0].total, 400) << "the newer one";
  EXPECT_EQ(scores[1].task, "A");
  EXPECT_DOUBLE_EQ(*number_at(s.results, "chatcore"), (0.5 + (0.7 - 0.25) / 0.75) / 2);
  const double a = std::sqrt(0.5 * 0.5 / 100), b = std::sqrt(0.7 * 0.3 / 400) / 0.75;
  EXPECT_DOUBLE_EQ(*number_at(s.results, "chatcore_error"), std::sqrt(a * a + b * b) / 2);
  EXPECT_EQ(s.seconds, 20) << "both evaluations";
}

TEST_F(SectionTest, CoreIsTheMeanOfAllTasksThatWereEvaluatedOfTheSameWeights) {
  const auto core = [](Json results) {
    Section s = evaluation("aa", std::move(results));
    s.name = "base-model-evaluation";
    return s;
  };
  write(core({{"tasks", {{"A", task(0.5, 100)}, {"B", task(0.4, 100)}}}, {"core_metric", 0.45}}));
  write(core({{"tasks", {{"A", task(0.7, 100)}}}, {"core_metric", 0.7}}));
  EXPECT_DOUBLE_EQ(*number_at(read("base-model-evaluation").results, "core_metric"), 0.55);
}

TEST_F(SectionTest, OtherWeightsUnderTheSameNameReplaceWhatWasThere) {
  write(evaluation("aa", {{"tasks", {{"A", task(0.5, 100)}}}}));
  write(evaluation("bb", {{"tasks", {{"B", task(0.5, 100)}}}}));
  const std::vector<EvalScore> scores = task_scores(read("chat-evaluation-sft").results);
  ASSERT_EQ(scores.size(), 1U);
  EXPECT_EQ(scores[0].task, "B");
}

TEST_F(SectionTest, ResetRemovesTheReportAndNothingElse) {
  write({.name = "chat-sft"});
  folder_.write("report/report.md", "x");
  folder_.write("report/mine.txt", "x");
  remove_report(folder_.path());
  EXPECT_FALSE(read_section(folder_.path(), "chat-sft").has_value());
  EXPECT_FALSE(fs::exists(folder_ / "report/report.md"));
  EXPECT_TRUE(fs::exists(folder_ / "report/mine.txt"));
  remove_report(folder_.path());  // again, with nothing there
}

TEST_F(SectionTest, ACheckpointIsKnownByWhatItsManifestEndsWith) {
  folder_.write("step_000001/manifest.json", R"({"step": 1, "xxh3": "0123456789abcdef"})");
  EXPECT_EQ(checkpoint_id(folder_ / "step_000001"), "0123456789abcdef");
  EXPECT_EQ(checkpoint_id(folder_ / "absent"), "");
  folder_.write("step_000002/manifest.json", "no json");
  EXPECT_EQ(checkpoint_id(folder_ / "step_000002"), "");
}

TEST(TaskScores, StrangeResultsAreLeftOut) {
  EXPECT_TRUE(task_scores(Json::object()).empty());
  EXPECT_TRUE(task_scores({{"tasks", 3}}).empty());
  EXPECT_TRUE(task_scores({{"tasks",
                            {{"A", nullptr},
                             {"B", {{"accuracy", "x"}}},
                             {"C", {{"accuracy", 2}, {"examples", 3}}}}}})
                  .empty());
}

}  // namespace
}  // namespace nanochat
