// labels: e2e
#include <filesystem>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "support/program.h"

namespace nanochat::test {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

class ReportTest : public testing::Test {
 protected:
  std::string base() const { return (folder_ / "base").string(); }
  ProgramResult run(std::vector<std::string> words) const {
    words.insert(words.end(), {"--base-dir", base(), "--quiet"});
    return run_program(words);
  }
  json section(const std::string& name) const {
    return json::parse(file_bytes(folder_ / ("base/report/" + name + ".json")));
  }
  std::vector<std::string> train(const std::string& name) const {
    return {"train",
            "base",
            "--run",
            name,
            "--depth",
            "1",
            "--data",
            base() + "/data/synth",
            "--tokenizer",
            "default",
            "--device-batch-size",
            "2",
            "--sequence-len",
            "32",
            "--total-batch-size",
            "64",
            "--num-iterations",
            "6",
            "--eval-every",
            "3",
            "--eval-tokens",
            "640",
            "--save-every",
            "2",
            "--sample-prompt",
            "Once"};
  }
  void make_world() const {
    ASSERT_EQ(run({"data", "synth", "--size-mb", "0.05", "--conversations", "10"}).exit_code, 0);
    ASSERT_EQ(
        run({"tok", "train", "--vocab-size", "300", "--data", base() + "/data/synth"}).exit_code,
        0);
  }
  std::string make_text() const {
    std::string text;
    for (int i = 0; i < 3000; ++i) text += fmt::format("line {} of {}\n", i, i * 7919 % 1000);
    return folder_.write("own.txt", text);
  }
  TemporaryFolder folder_;
};

TEST_F(ReportTest, EveryCommandLeavesItsSectionAndTheReportHasThemAll) {
  const ProgramResult nothing = run({"report"});
  EXPECT_EQ(nothing.exit_code, 4);
  EXPECT_NE(nothing.err.find("nothing to report yet"), std::string::npos) << nothing.err;

  make_world();
  ASSERT_EQ(run({"tok", "eval"}).exit_code, 0);
  const ProgramResult trained = run(train("a"));
  ASSERT_EQ(trained.exit_code, 0) << trained.err;
  ASSERT_EQ(run(train("b")).exit_code, 0);
  ASSERT_EQ(run({"eval", "loss", "base:b", "--device-batch-size", "2", "--split-tokens", "640"})
                .exit_code,
            0);

  EXPECT_EQ(section("tokenizer-training")["results"]["vocab_size"], 300);
  EXPECT_EQ(section("tokenizer-evaluation")["results"]["texts"][0]["name"], "news");
  const json base_section = section("base-model-training");
  EXPECT_EQ(base_section["model"], "base:b@6");
  EXPECT_EQ(base_section["settings"]["depth"], 1);
  EXPECT_GT(base_section["results"]["val_bpb"], 0);
  EXPECT_EQ(section("base-model-loss")["model_id"], base_section["model_id"]);
  EXPECT_EQ(base_section["model_id"].get<std::string>().size(), 16U);

  const ProgramResult report = run({"report", "--json"});
  ASSERT_EQ(report.exit_code, 0) << report.err;
  const json result = json::parse(report.out);
  EXPECT_EQ(result["sections"], 4);
  EXPECT_EQ(result["runs"], 2);
  const std::string markdown = file_bytes(result["markdown"].get<std::string>());
  for (const char* part : {"- cpu_model: ", "## Base model training", "## Summary"}) {
    EXPECT_NE(markdown.find(part), std::string::npos) << part;
  }
  const std::string html = file_bytes(result["html"].get<std::string>());
  EXPECT_NE(html.find("\"train/smooth_loss\""), std::string::npos);

  EXPECT_EQ(run({"report", "--out", (folder_ / "elsewhere/there").string()}).exit_code, 0);
  EXPECT_TRUE(fs::exists(folder_ / "elsewhere/there/report.html"));
  EXPECT_EQ(run({"report", "--reset"}).exit_code, 0);
  EXPECT_FALSE(fs::exists(folder_ / "base/report/base-model-training.json"));
  EXPECT_EQ(run({"report"}).exit_code, 0) << "the runs are still there";
}

TEST_F(ReportTest, ABrowserDrawsItAndRunsNothingThatAModelWrote) {
  if (std::system("command -v chromium > /dev/null") != 0) GTEST_SKIP() << "no chromium";
  folder_.write(
      "base/runs/base/x/metrics.jsonl",
      R"({"step":0,"time":1,"train/loss":3.5,"samples":["</script><script>)"
      R"(document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"]})"
      "\n");
  ASSERT_EQ(run({"report"}).exit_code, 0);
  const std::string dom = (folder_ / "dom").string();
  ASSERT_EQ(std::system(fmt::format("timeout 60 chromium --headless --no-sandbox --disable-gpu "
                                    "--user-data-dir={}/profile --dump-dom file://{}/report/"
                                    "report.html > {} 2> /dev/null",
                                    folder_.path().string(), base(), dom)
                            .c_str()),
            0);
  const std::string page = file_bytes(dom);
  EXPECT_NE(page.find("<title>nanochat report</title>"), std::string::npos);
  EXPECT_NE(page.find("Training loss"), std::string::npos) << "the script came to its end";
  EXPECT_NE(page.find("All that was recorded"), std::string::npos);
  EXPECT_NE(page.find("<blockquote>&lt;/script&gt;&lt;script&gt;"), std::string::npos);
  EXPECT_EQ(page.find("<img"), std::string::npos);
}

TEST_F(ReportTest, ASpeedrunGoesThroughItsStagesAndASecondOneHasNothingLeftToDo) {
  const std::vector<std::string> words{"speedrun", "--until", "tok-eval", "--json"};
  const ProgramResult plan = run({"speedrun", "--dry-run", "--gflops", "50", "--json"});
  ASSERT_EQ(plan.exit_code, 0) << plan.err;
  EXPECT_EQ(json::parse(plan.out)["stages"][3]["name"], "base");
  EXPECT_GT(json::parse(plan.out)["seconds"], 0);
  EXPECT_FALSE(fs::exists(folder_ / "base/speedrun")) << "a dry run leaves nothing";
  ASSERT_EQ(run({"data", "synth", "--size-mb", "1"}).exit_code, 0);

  // A world of another size is refused by the stage, and its exit code is ours.
  const ProgramResult refused = run(words);
  EXPECT_EQ(refused.exit_code, 2) << refused.err;
  EXPECT_NE(refused.err.find("stage data failed (exit code 2)"), std::string::npos) << refused.err;

  fs::remove_all(folder_ / "base");
  const ProgramResult own =
      run({"speedrun", "--data", make_text(), "--until", "tok-eval", "--json"});
  ASSERT_EQ(own.exit_code, 0) << own.err;
  EXPECT_EQ(json::parse(own.out)["stages"][0]["skipped"], false);
  const ProgramResult again =
      run({"speedrun", "--data", make_text(), "--until", "tok-eval", "--json"});
  ASSERT_EQ(again.exit_code, 0) << again.err;
  for (const json& stage : json::parse(again.out)["stages"]) EXPECT_EQ(stage["skipped"], true);
}

TEST_F(ReportTest, EveryCommandOfEveryPresetIsOneThatTheProgramTakes) {
  for (const char* preset : {"tiny", "cpu", "d20", "d26", "d32", "chinese"}) {
    const ProgramResult plan =
        run({"speedrun", "--preset", preset, "--rl", "--dry-run", "--json", "--gpu", "h100"});
    ASSERT_EQ(plan.exit_code, 0) << plan.err;
    for (const json& stage : json::parse(plan.out)["stages"]) {
      const std::vector<std::string> command = stage["command"];
      if (command[0] == "data" || command[0] == "report") continue;
      const ProgramResult result = run(command);
      EXPECT_EQ(result.exit_code, 4) << preset << " " << stage.dump() << "\n"
                                     << "understood, but nothing is there: " << result.err;
    }
  }
}

}  // namespace
}  // namespace nanochat::test
