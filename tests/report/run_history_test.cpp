#include "report/run_history.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "support/temporary_folder.h"

namespace nanochat {
namespace {

TEST(RunHistory, HasACurveForEveryNumberAndWhatTheModelWrote) {
  const test::TemporaryFolder folder;
  folder.write("runs/base/d2/metrics.jsonl",
               R"({"step":0,"time":100,"val/bpb":4.0})"
               "\n"
               R"({"step":0,"time":101,"train/loss":5.5,"samples":["a","b"]})"
               "\n"
               R"({"step":1,"time":102,"train/loss":null})"
               "\n"
               R"({"step":2,"time":103,"train/loss":4.5})"
               "\n");
  const RunHistory run = read_run_history(folder / "runs/base/d2");
  EXPECT_EQ(run.stage, "base");
  EXPECT_EQ(run.tag, "d2");
  EXPECT_EQ(run.last_step, 2);
  EXPECT_EQ(run.curves.at("val/bpb"), (Curve{{0, 4.0}}));
  EXPECT_EQ(run.curves.at("train/loss"), (Curve{{0, 5.5}, {2, 4.5}}));
  ASSERT_EQ(run.samples.size(), 1U);
  EXPECT_EQ(run.samples[0].second[1], "b");
}

TEST(RunHistory, OfAResumedRunHasNoVoidPointsAndNoPauseInItsTime) {
  const test::TemporaryFolder folder;
  folder.write("runs/base/d2/metrics.jsonl",
               R"({"step":0,"time":100,"train/loss":5})"
               "\n"
               R"({"step":1,"time":110,"train/loss":9})"
               "\n"
               R"({"step":0,"time":5000,"resumed":true})"
               "\n"
               R"({"step":1,"time":5010,"train/loss":4})"
               "\n"
               R"({"step":2,"time":5020,"train/lo)");  // torn by a kill
  const RunHistory run = read_run_history(folder / "runs/base/d2");
  EXPECT_EQ(run.curves.at("train/loss"), (Curve{{0, 5.0}, {1, 4.0}}));
  EXPECT_EQ(run.active_seconds, 20);
}

TEST(RunHistory, RunsComeByStageAndADamagedOneIsAProblem) {
  const test::TemporaryFolder folder;
  std::vector<std::string> problems;
  EXPECT_TRUE(find_run_histories(folder.path(), problems).empty());
  const std::string line = R"({"step":0,"time":1,"train/loss":5})"
                           "\n";
  for (const char* run : {"rl/x", "base/b", "base/a", "sft/x"}) {
    folder.write(std::string("runs/") + run + "/metrics.jsonl", line);
  }
  folder.write("runs/mid/x/metrics.jsonl", "not json\n" + line);
  folder.write("runs/base/empty/config.toml", "");
  std::string order;
  for (const RunHistory& run : find_run_histories(folder.path(), problems)) {
    order += run.stage + ":" + run.tag + " ";
  }
  EXPECT_EQ(order, "base:a base:b sft:x rl:x ");
  ASSERT_EQ(problems.size(), 1U);
  EXPECT_NE(problems[0].find("mid/x"), std::string::npos);
}

TEST(ThinOut, KeepsTheEndsAndEveryPeakWithinTheLimit) {
  Curve curve;
  for (int64_t i = 0; i < 100'000; ++i)
    curve.emplace_back(i, i == 54'321 ? 1000.0 : static_cast<double>(i % 7));
  const Curve thin = thin_out(curve, 1000);
  EXPECT_LE(thin.size(), 1000U);
  EXPECT_GE(thin.size(), 900U);
  EXPECT_EQ(thin.front(), curve.front());
  EXPECT_EQ(thin.back(), curve.back());
  EXPECT_NE(std::ranges::find(thin, std::pair<int64_t, double>(54'321, 1000.0)), thin.end());
  EXPECT_TRUE(std::ranges::is_sorted(thin));
  EXPECT_EQ(thin_out({{1, 2.0}, {2, 3.0}}, 1000).size(), 2U);
}

}  // namespace
}  // namespace nanochat
