#include "train/checkpoint.h"

#include <bit>
#include <fstream>
#include <limits>
#include <set>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.h"
#include "core/file.h"
#include "support/compare.h"
#include "support/refusal.h"
#include "support/temporary_folder.h"
#include "train/small_run.h"

namespace nanochat {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;
using test::refusal;
using test::SmallRun;
using ::testing::HasSubstr;

class CheckpointTest : public ::testing::Test {
 protected:
  /// Saves run_ as step 3.
  fs::path save(const Json& state = Json::object(), std::span<const NamedTensor> loader = {}) {
    return save_checkpoint(folder_, 3, run_.model, state_of(run_.optimizer), state, loader);
  }
  [[nodiscard]] std::set<std::string> names() const {
    std::set<std::string> names;
    for (const auto& entry : fs::recursive_directory_iterator(folder_.path())) {
      names.insert(entry.path().lexically_relative(folder_.path()).string());
    }
    return names;
  }

  test::TemporaryFolder temporary_;
  RunFolder folder_{temporary_ / "run"};
  SmallRun run_;
};

TEST_F(CheckpointTest, TheRunGoesOnFromItAsIfNothingHadHappened) {
  for (int64_t i = 0; i < 3; ++i) run_.step(i);
  const fs::path path = save();
  SmallRun resumed(/*seed=*/2);
  const Checkpoint checkpoint(path);
  EXPECT_EQ(checkpoint.step(), 3);
  EXPECT_EQ(checkpoint.config(), run_.model.config());
  checkpoint.load_model(resumed.model);
  checkpoint.load_optimizer(resumed.model.backend(), state_of(resumed.optimizer));
  expect_same(run_, resumed);
  for (int64_t i = 3; i < 6; ++i) {
    run_.step(i);
    resumed.step(i);
  }
  expect_same(run_, resumed);
}

TEST_F(CheckpointTest, HoldsTheFilesThatAreDocumentedAndNothingElse) {
  const std::vector<NamedTensor> loader{{"tokens", zeros({5}, DType::kI32)}};
  save({}, loader);
  EXPECT_EQ(names(), (std::set<std::string>{
                         "run.lock", "step_000003", "step_000003/loader",
                         "step_000003/loader/rank_0.safetensors", "step_000003/manifest.json",
                         "step_000003/model.safetensors", "step_000003/optim",
                         "step_000003/optim/rank_0.safetensors", "step_000003/state.json"}));
}

TEST_F(CheckpointTest, NumbersOfTheStateComeBackToTheBit) {
  const std::vector<double> reals{0.1, -0.0, 5e-324, 1.7976931348623157e308, 1.0 / 3, 1e22, 2.0};
  Json state;
  state["loop"]["reals"] = reals;
  state["loop"]["integers"] = {std::numeric_limits<int64_t>::min(),
                               std::numeric_limits<int64_t>::max()};
  state["config"]["text"] = "深度 \"4\"\n";
  const Checkpoint checkpoint(save(state));
  for (size_t i = 0; i < reals.size(); ++i) {
    EXPECT_EQ(std::bit_cast<uint64_t>(checkpoint.state()["loop"]["reals"][i].get<double>()),
              std::bit_cast<uint64_t>(reals[i]));
  }
  EXPECT_EQ(checkpoint.state()["loop"]["integers"], state["loop"]["integers"]);
  EXPECT_EQ(checkpoint.state()["config"], state["config"]);
  EXPECT_EQ(checkpoint.state()["step"], 3);
}

TEST_F(CheckpointTest, NumbersThatJsonCannotHoldAreABugOfTheCaller) {
  Json state;
  state["loop"]["best"] = std::numeric_limits<double>::infinity();
  GTEST_FLAG_SET(death_test_style, "threadsafe");  // fork alone would lose OpenMP's threads
  EXPECT_DEATH(save(state), "state.loop.best is not finite");
}

TEST_F(CheckpointTest, ATextThatIsNotUtf8IsMendedNotRefused) {
  Json state;
  state["command_line"] = "train --run \xff";
  EXPECT_EQ(Checkpoint(save(state)).state()["command_line"], "train --run \xef\xbf\xbd");
}

/// Numbers of every kind, for the optimizer's file.
struct Numbers {
  std::vector<double> reals{0.1,
                            -0.0,
                            5e-324,
                            std::numeric_limits<double>::infinity(),
                            -std::numeric_limits<double>::max(),
                            1.0 / 3};
  int64_t integer = std::numeric_limits<int64_t>::min();
  Tensor tensor = zeros({3}, DType::kI32);

  void visit_state(StateVisitor& visitor) {
    visitor.integer("n", integer);
    for (size_t i = 0; i < reals.size(); ++i) visitor.real(fmt::format("r{}", i), reals[i]);
    visitor.tensor("t", tensor);
  }
};

TEST_F(CheckpointTest, NumbersOfTheOptimizerComeBackToTheBit) {
  Numbers numbers;
  const Checkpoint checkpoint(
      save_checkpoint(folder_, 1, run_.model, state_of(numbers), Json::object()));
  Numbers loaded;
  loaded.reals.assign(numbers.reals.size(), 7);
  loaded.integer = 7;
  checkpoint.load_optimizer(cpu_backend(), state_of(loaded));
  EXPECT_EQ(loaded.integer, numbers.integer);
  for (size_t i = 0; i < numbers.reals.size(); ++i) {
    EXPECT_EQ(std::bit_cast<uint64_t>(loaded.reals[i]), std::bit_cast<uint64_t>(numbers.reals[i]))
        << numbers.reals[i];
  }
}

TEST_F(CheckpointTest, TheLoadersTensorsComeBack) {
  const std::vector<int32_t> tokens{5, -1, 7};
  const std::vector<NamedTensor> loader{{"tokens", tensor_of<int32_t>(tokens, {3})},
                                        {"rows", zeros({0}, DType::kI64)}};
  const Checkpoint checkpoint(save({}, loader));
  const std::vector<NamedTensor> loaded = checkpoint.loader_tensors();
  ASSERT_EQ(loaded.size(), 2U);
  EXPECT_EQ(loaded[0].name, "rows");
  EXPECT_EQ(loaded[1].name, "tokens");
  EXPECT_TRUE(test::same_bytes(loaded[1].tensor, loader[0].tensor));
}

TEST_F(CheckpointTest, WithoutOptimizerItCanBeUsedButNotResumed) {
  const Checkpoint checkpoint(save_checkpoint(folder_, 9, run_.model, {}, Json::object()));
  SmallRun other(2);
  checkpoint.load_model(other.model);
  EXPECT_FALSE(checkpoint.has_optimizer());
  EXPECT_TRUE(checkpoint.loader_tensors().empty());
  EXPECT_THAT(refusal<DataError>(
                  [&] { checkpoint.load_optimizer(cpu_backend(), state_of(other.optimizer)); }),
              HasSubstr("step_000009: holds no optimizer state"));
}

TEST_F(CheckpointTest, TheSameStepSavedAgainReplacesTheFirst) {
  save();
  run_.step(0);
  save();
  SmallRun loaded(2);
  const Checkpoint checkpoint(folder_.path() / "step_000003");
  checkpoint.load_model(loaded.model);
  checkpoint.load_optimizer(cpu_backend(), state_of(loaded.optimizer));
  expect_same(run_, loaded);
  for (const std::string& name : names()) EXPECT_FALSE(name.starts_with('.')) << name;
}

TEST_F(CheckpointTest, ACheckpointOfAnotherModelIsRefusedWithTheDifferences) {
  const Checkpoint checkpoint(save());
  GptConfig config = test::small_config();
  config.n_layer = 2;
  config.n_embd = 32;
  SmallRun other(1, config);
  EXPECT_THAT(refusal<DataError>([&] { checkpoint.load_model(other.model); }),
              HasSubstr("step_000003: is of another model: n_layer is 1, not 2; n_embd is 16, not "
                        "32"));
}

TEST_F(CheckpointTest, AnotherOptimizersStateIsRefusedAndNothingChanges) {
  const Checkpoint checkpoint(save());
  Numbers numbers;
  EXPECT_THAT(
      refusal<DataError>([&] { checkpoint.load_optimizer(cpu_backend(), state_of(numbers)); }),
      HasSubstr("optim/rank_0.safetensors: has no 'n'"));
  EXPECT_EQ(numbers.integer, std::numeric_limits<int64_t>::min());
  // Less than the file holds is no better.
  const VisitState half = [&](StateVisitor& visitor) { run_.optimizer.adamw.visit_state(visitor); };
  EXPECT_THAT(refusal<DataError>([&] { checkpoint.load_optimizer(cpu_backend(), half); }),
              HasSubstr("resume with the optimizer that wrote it"));
}

TEST_F(CheckpointTest, AnotherNumberOfProcessesIsRefused) {
  const Checkpoint checkpoint(save());
  EXPECT_THAT(
      refusal<DataError>(
          [&] { checkpoint.load_optimizer(cpu_backend(), state_of(run_.optimizer), 1, 2); }),
      HasSubstr("was written by 1 processes, this run has 2: start as many (mpirun -np 1)"));
}

TEST_F(CheckpointTest, SeveralProcessesWriteIntoOne) {
  SmallRun second(2);
  second.step(0);
  CheckpointWriter writer(folder_, 5, 2);
  writer.write_model(run_.model);
  writer.write_rank({.rank = 0, .optimizer = state_of(run_.optimizer)});
  write_checkpoint_rank(writer.folder(), {.rank = 1, .optimizer = state_of(second.optimizer)});
  const Checkpoint checkpoint(writer.commit(Json::object()));
  EXPECT_EQ(checkpoint.world_size(), 2);
  SmallRun loaded(3);
  checkpoint.load_optimizer(cpu_backend(), state_of(loaded.optimizer), 1, 2);
  const auto expected = second.state(), found = loaded.state();
  for (const auto& [name, tensor] : expected.tensors) {
    EXPECT_TRUE(test::same_bytes(tensor, found.tensors.at(name))) << name;
  }
}

TEST_F(CheckpointTest, WhatIsNotCommittedLeavesNothing) {
  {
    CheckpointWriter writer(folder_, 5);
    writer.write_model(run_.model);
  }
  EXPECT_EQ(names(), std::set<std::string>{"run.lock"});
}

TEST_F(CheckpointTest, WeightsThatAreNotFiniteAreNotSaved) {
  save();
  run_.model.parameter("lm_head.weight").value.data<float>()[5] =
      std::numeric_limits<float>::quiet_NaN();
  EXPECT_THAT(refusal<NumericError>([&] {
                save_checkpoint(folder_, 4, run_.model, state_of(run_.optimizer), Json::object());
              }),
              HasSubstr("run/step_000004/model.safetensors: tensor 'lm_head.weight': element 5"));
  EXPECT_EQ(list_checkpoints(folder_.path()), std::vector<int64_t>{3});
}

TEST_F(CheckpointTest, WhatIsNoCheckpointIsSaidSo) {
  EXPECT_THAT(refusal<NotFoundError>([&] { const Checkpoint c(folder_.path() / "step_000009"); }),
              HasSubstr("step_000009: there is no such checkpoint"));
  EXPECT_THAT(refusal<NotFoundError>([&] { const Checkpoint c(folder_.path()); }),
              HasSubstr("is no complete checkpoint, it has no manifest.json"));
}

TEST_F(CheckpointTest, ACheckpointUnderAnotherStepsNameIsRefusedUnderAFreeNameAccepted) {
  const fs::path path = save();
  fs::rename(path, folder_.path() / "step_000007");
  EXPECT_THAT(refusal<DataError>([&] { const Checkpoint c(folder_.path() / "step_000007"); }),
              HasSubstr("holds step 3: rename the folder to step_000003"));
  fs::rename(folder_.path() / "step_000007", folder_.path() / "best");
  EXPECT_EQ(Checkpoint(folder_.path() / "best").step(), 3);
}

TEST_F(CheckpointTest, StaysReadableWhenItIsPrunedMeanwhile) {
  const Checkpoint checkpoint(save());
  fs::remove_all(checkpoint.folder());
  SmallRun loaded(2);
  checkpoint.load_model(loaded.model);
  checkpoint.load_optimizer(cpu_backend(), state_of(loaded.optimizer));
  expect_same(run_, loaded);
}

/// Logits of a few tokens.
Tensor logits_of(Gpt& model) {
  Tape tape(model.backend(), host_allocator());
  const RecordingScope off(tape, false);
  const std::vector<int32_t> ids{1, 2, 3};
  const TokenRuns runs = TokenRuns::uniform(1, 3);
  const Var hidden = model.forward(tape, tensor_of(std::span(ids), {3}), runs);
  return model.logits(tape, hidden.value).clone();
}

class PackedCheckpointTest : public CheckpointTest {
 protected:
  void SetUp() override {
    run_.step(0);
    path_ = save();
  }
  Tensor logits(CheckpointUse use = CheckpointUse::kState) {
    const Checkpoint checkpoint(path_, use);
    Gpt model(checkpoint.config(), cpu_backend(),
              {.trainable = false, .packed = WeightFormat::kBf16});
    checkpoint.load_packed_model(model);
    return logits_of(model);
  }
  fs::path path_;
};

TEST_F(PackedCheckpointTest, WeightsArePackedOnceAndMappedFromThenOn) {
  const Tensor first = logits();
  ASSERT_TRUE(fs::exists(path_ / "packed-bf16.safetensors"));
  const auto written = fs::last_write_time(path_ / "packed-bf16.safetensors");
  EXPECT_TRUE(test::same_bits(logits(), first));
  EXPECT_EQ(fs::last_write_time(path_ / "packed-bf16.safetensors"), written);
  // The row-major weights are not even read then: so starting costs little.
  std::string bytes = read_file(path_ / "model.safetensors", 1 << 30);
  bytes[bytes.size() - 5] ^= 1;
  std::ofstream(path_ / "model.safetensors", std::ios::binary) << bytes;
  EXPECT_TRUE(test::same_bits(logits(), first));
  EXPECT_THROW(logits(CheckpointUse::kModel), DataError);
  fs::remove(path_ / "packed-bf16.safetensors");
  EXPECT_THROW(logits(), DataError);
}

TEST_F(PackedCheckpointTest, DamagedOrForeignPackedWeightsAreMadeAnew) {
  const Tensor first = logits();
  const fs::path packed = path_ / "packed-bf16.safetensors";
  const std::string good = read_file(packed, 1 << 30);
  for (const size_t at : {good.size() - 1, size_t{20}, good.size() / 2}) {
    std::string bytes = good;
    bytes[at] ^= 4;
    fs::remove(packed);
    std::ofstream(packed, std::ios::binary) << bytes;
    EXPECT_TRUE(test::same_bits(logits(), first)) << at;
    EXPECT_EQ(read_file(packed, 1 << 30), good);
  }
  std::ofstream(packed, std::ios::binary) << "cut";
  EXPECT_TRUE(test::same_bits(logits(), first));
  run_.step(1);  // the same step once more, with other weights
  const fs::path stale = temporary_ / "stale";
  fs::copy_file(packed, stale);
  path_ = save();
  fs::copy_file(stale, packed);
  const Tensor other = logits();
  EXPECT_FALSE(test::same_bits(other, first));
  EXPECT_TRUE(test::same_bits(other, logits()));
}

TEST_F(PackedCheckpointTest, AFolderThatCannotBeWrittenToIsNoObstacle) {
  const Tensor first = logits();
  fs::remove(path_ / "packed-bf16.safetensors");
  // A folder in its place: whoever is root may write everywhere else.
  fs::create_directories(path_ / "packed-bf16.safetensors" / "in the way");
  EXPECT_TRUE(test::same_bits(logits(), first));
}

}  // namespace
}  // namespace nanochat
