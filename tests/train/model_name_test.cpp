#include "train/model_name.h"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.h"
#include "support/refusal.h"
#include "support/temporary_folder.h"
#include "train/run_folder.h"
#include "train/small_run.h"

namespace nanochat {
namespace {

namespace fs = std::filesystem;
using test::refusal;
using ::testing::HasSubstr;

TEST(ModelName, HasAStageATagAndAStepAllOptional) {
  EXPECT_EQ(parse_model_name("base:d4@1200"), (ModelName{"base", "d4", 1200}));
  EXPECT_EQ(parse_model_name("base:d4"), (ModelName{"base", "d4", std::nullopt}));
  EXPECT_EQ(parse_model_name("sft"), (ModelName{"sft", "", std::nullopt}));
  EXPECT_EQ(parse_model_name("sft@5"), (ModelName{"sft", "", 5}));
  EXPECT_EQ(parse_model_name(":d4"), (ModelName{"", "d4", std::nullopt}));
  EXPECT_EQ(parse_model_name("@7"), (ModelName{"", "", 7}));
  EXPECT_EQ(parse_model_name(""), (ModelName{}));
}

TEST(ModelName, WhatIsNoneIsRefusedWithTheForm) {
  const auto error = [](std::string_view name) {
    return refusal<UsageError>([&] { static_cast<void>(parse_model_name(name)); });
  };
  EXPECT_THAT(error("d4"), HasSubstr("'d4' is no stage (base, mid, sft, rl): a model is named "
                                     "stage:tag@step, for example base:d4@1200"));
  EXPECT_THAT(error("base:d4@last"), HasSubstr("'last' is no step"));
  EXPECT_THAT(error("base@-1"), HasSubstr("'-1' is no step"));
  EXPECT_THAT(error("base@"), HasSubstr("'' is no step"));
  EXPECT_THAT(error("base:"), HasSubstr("has no tag or two"));
  EXPECT_THAT(error("base:a:b"), HasSubstr("has no tag or two"));
}

TEST(ModelName, ARunIsAFolderOfItsStage) {
  EXPECT_EQ(run_folder_of("/b", "base", "d4"), "/b/runs/base/d4");
  for (const char* const tag : {"", "..", ".hidden", "a/b", "a:b", "a@3"}) {
    EXPECT_THAT(refusal<UsageError>([&] { static_cast<void>(run_folder_of("/b", "base", tag)); }),
                HasSubstr("cannot name a run"));
  }
}

class FindModelTest : public ::testing::Test {
 protected:
  void add(const std::string& run, int64_t step) const {
    temporary_.write("runs/" + run + "/" + checkpoint_name(step) + "/manifest.json", "{}");
  }
  /// The last write of a run's folder, in seconds before now.
  void age(const std::string& run, int seconds) const {
    fs::last_write_time(temporary_.path() / "runs" / run,
                        fs::file_time_type::clock::now() - std::chrono::seconds(seconds));
  }
  [[nodiscard]] std::string found(const std::string& name) const {
    const FoundModel model = find_model(temporary_.path(), name);
    EXPECT_TRUE(fs::exists(model.checkpoint / kManifestFileName)) << model.checkpoint;
    EXPECT_EQ(model.checkpoint.parent_path(), model.run);
    return model.name;
  }
  [[nodiscard]] std::string error(const std::string& name) const {
    return refusal<NotFoundError>([&] { static_cast<void>(find_model(temporary_.path(), name)); });
  }

  test::TemporaryFolder temporary_;
};

TEST_F(FindModelTest, TheNewestStepOfTheLargestDepthOfTheFurthestStage) {
  add("base/d4", 20);
  add("base/d4", 100);
  add("base/d12_feb", 7);
  add("base/d9", 3);
  add("base/zebra", 1);
  EXPECT_EQ(found(""), "base:d12_feb@7") << "by number, not by letters";
  EXPECT_EQ(found("base:d4"), "base:d4@100");
  EXPECT_EQ(found("base:d4@20"), "base:d4@20");
  EXPECT_EQ(found(":zebra"), "base:zebra@1");
  add("sft/d4", 50);
  EXPECT_EQ(found(""), "sft:d4@50");
  EXPECT_EQ(found("base"), "base:d12_feb@7");
  EXPECT_EQ(found(":d9"), "base:d9@3") << "of the first stage that has it";
  EXPECT_EQ(found("@50"), "sft:d4@50");
}

TEST_F(FindModelTest, WithoutDepthsTheNewestRun) {
  add("mid/old", 1);
  add("mid/new", 1);
  add("mid/older", 1);
  age("mid/old", 100);
  age("mid/new", 10);
  age("mid/older", 200);
  EXPECT_EQ(found("mid"), "mid:new@1");
}

TEST_F(FindModelTest, RunsWithoutACompleteCheckpointDoNotCount) {
  add("base/d4", 20);
  temporary_.write("runs/base/d32/metrics.jsonl", "");
  temporary_.write("runs/sft/d4/.step_000010.tmp-7/manifest.json", "{}");
  EXPECT_EQ(found(""), "base:d4@20");
}

TEST_F(FindModelTest, APathIsOfARunOrOfACheckpoint) {
  add("base/d4", 20);
  add("base/d4", 30);
  const std::string run = (temporary_ / "runs/base/d4").string();
  EXPECT_EQ(found(run), run + "/step_000030");
  EXPECT_EQ(found(run + "/"), run + "/step_000030");
  EXPECT_EQ(found(run + "@20"), run + "/step_000020");
  EXPECT_EQ(found(run + "/step_000020"), run + "/step_000020");
  fs::rename(run + "/step_000020", run + "/best@home");
  EXPECT_EQ(found(run + "/best@home"), run + "/best@home");
}

TEST_F(FindModelTest, ErrorsSayWhatThereIs) {
  EXPECT_THAT(error(""), HasSubstr("no model (there are none in " + (temporary_ / "runs").string() +
                                   "; nanochat train base makes one)"));
  add("base/d4", 20);
  add("base/d4", 30);
  add("sft/d4", 5);
  EXPECT_THAT(error("rl"), HasSubstr("no model 'rl' (there: sft:d4, base:d4)"));
  EXPECT_THAT(error("base:d6"), HasSubstr("no model 'base:d6' (there: sft:d4, base:d4)"));
  EXPECT_THAT(error("base:d4@25"),
              HasSubstr("base:d4: has no checkpoint of step 25 (there: 20, 30)"));
  EXPECT_THAT(error("no/such/run"), HasSubstr("no/such/run: there is no such run or checkpoint"));
  temporary_.write("empty/x", "");
  EXPECT_THAT(error((temporary_ / "empty").string()), HasSubstr("holds no complete checkpoint"));
}

}  // namespace
}  // namespace nanochat
