// labels: parity
// Upstream's numbers: logits, losses, gradients and greedy decoding of every classic model in the
// fixtures folder. Cases are found by pattern; their shapes and names are read from the files.
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "model/gpt.h"
#include "support/backends.h"
#include "support/compare.h"
#include "support/gpt_fixture.h"

namespace nanochat {
namespace {

namespace fs = std::filesystem;
using test::expect_close;

// fixtures/README.md: "fail above".
constexpr test::Tolerance kLogits{.rel_of_max = 1e-4};
constexpr test::Tolerance kGradients{.rel_of_max = 1e-3};

class GptParityTest : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    NC_SKIP_WITHOUT(GetParam());
    backend_ = &test::backend_named(GetParam());
  }
  Backend* backend_ = nullptr;
};
INSTANTIATE_TEST_SUITE_P(, GptParityTest, test::AllBackends(), test::backend_name);

TEST_P(GptParityTest, LogitsLossesAndGradientsAreUpstreams) {
  constexpr const char* kPattern = "classic/gpt*.json";
  const auto paths = test::find_fixtures(kPattern);
  if (paths.empty()) GTEST_SKIP() << test::missing_fixture(kPattern);
  for (const fs::path& path : paths) {
    SCOPED_TRACE(path.filename().string());
    const test::GptFixture c(path);
    Gpt model(c.config, *backend_);
    load_weights(model, c.file, "w.");
    const Batch batch = c.batch();

    EXPECT_EQ(model.config().num_params(), c.json.at("num_params").get<int64_t>());
    EXPECT_EQ(model.config().flops_per_token(), c.json.at("estimate_flops").get<int64_t>());

    Tape tape(*backend_, backend_->allocator());
    const Tensor logits = model.logits(tape, model.forward(tape, batch.ids, batch.runs).value);
    expect_close(logits, c.file.tensor("logits").view(logits.shape()), kLogits);

    const RecordingScope on(tape, true);
    const LossResult loss = model.loss(tape, batch);
    const double expected_loss = c.json.at("loss_mean").get<double>();
    EXPECT_NEAR(test::to_doubles(loss.total)[0], expected_loss, 1e-4 * expected_loss);
    expect_close(loss.per_token, c.file.tensor("loss_none").view(loss.per_token.shape()), kLogits);
    tape.backward();

    double norm_squared = 0;
    for (const Parameter& p : model.parameters()) {
      SCOPED_TRACE(p.name);
      expect_close(p.grad, c.file.tensor("g." + p.name), kGradients);
      for (const double g : test::to_doubles(p.grad)) norm_squared += g * g;
    }
    const double expected_norm = c.json.at("grad_norm").get<double>();
    EXPECT_NEAR(std::sqrt(norm_squared), expected_norm, 1e-4 * expected_norm);
  }
}

/// Feeds tokens [begin, end) of `ids` at their positions and returns their logits.
Tensor feed(Gpt& model, Tape& tape, std::vector<KvCache>& caches, const std::vector<int32_t>& ids,
            int64_t begin, int64_t end) {
  const int64_t n = end - begin;
  const std::span<const int32_t> part(ids.data() + begin, static_cast<size_t>(n));
  const TokenRuns runs(std::array{Run{.row_begin = 0,
                                      .length = static_cast<int32_t>(n),
                                      .position = static_cast<int32_t>(begin),
                                      .slot = 0}},
                       n);
  return model.logits(tape, model.forward(tape, tensor_of(part, {n}), runs, caches).value);
}

int32_t argmax(const Tensor& logits, int64_t row) {
  const std::vector<double> values = test::to_doubles(logits.rows(row, row + 1));
  return static_cast<int32_t>(std::ranges::max_element(values) - values.begin());
}

TEST_P(GptParityTest, GreedyDecodingIsUpstreamsWithAndWithoutCache) {
  constexpr const char* kPattern = "classic/decode*.json";
  const auto paths = test::find_fixtures(kPattern);
  if (paths.empty()) GTEST_SKIP() << test::missing_fixture(kPattern);
  for (const fs::path& path : paths) {
    const nlohmann::json decode = test::load_json(path);
    const SafetensorsFile expected(fs::path(path).replace_extension(".safetensors"));
    const test::GptFixture c(path.parent_path() / decode.at("config").get<std::string>());
    Gpt model(c.config, *backend_, {.trainable = false});
    load_weights(model, c.file, "w.");
    Tape tape(*backend_, backend_->allocator());
    for (size_t i = 0; i < decode.at("cases").size(); ++i) {
      SCOPED_TRACE(fmt::format("{} case {}", path.filename().string(), i));
      const nlohmann::json& item = decode["cases"][i];
      std::vector<int32_t> ids = item.at("prompt");
      const auto prompt_len = static_cast<int64_t>(ids.size());
      const std::vector<int32_t> generated = item.at("generated");
      const int64_t first = item.at("first_step_logits_index").get<int64_t>();
      const Tensor step_logits = expected.tensor(fmt::format("case{}.step_logits", i));
      const Tensor engine_logits = expected.tensor(fmt::format("case{}.engine_step_logits", i));

      std::vector<KvCache> caches =
          model.make_caches(1, prompt_len + static_cast<int64_t>(generated.size()));
      Tensor cached = feed(model, tape, caches, ids, 0, prompt_len);
      for (size_t step = 0; step < generated.size(); ++step) {
        const auto total = static_cast<int64_t>(ids.size());
        const TokenRuns runs = TokenRuns::uniform(1, total);
        const Tensor hidden =
            model.forward(tape, tensor_of(std::span<const int32_t>(ids), {total}), runs).value;
        const Tensor naive = model.logits(tape, hidden.rows(total - 1, total));
        const Tensor last = cached.rows(cached.dim(0) - 1, cached.dim(0));
        const int64_t row = static_cast<int64_t>(step) - first;
        if (row >= 0 && row < step_logits.dim(0)) {
          expect_close(naive, step_logits.rows(row, row + 1), kLogits);
          expect_close(last, engine_logits.rows(row, row + 1), kLogits);
        }
        ASSERT_EQ(argmax(naive, 0), generated[step]) << "step " << step;
        ASSERT_EQ(argmax(last, 0), generated[step]) << "cached, step " << step;
        ids.push_back(generated[step]);
        cached = feed(model, tape, caches, ids, total, total + 1);
      }

      if (item.at("chunked_prefill").is_null()) continue;
      ids.resize(static_cast<size_t>(prompt_len));
      const auto cut = item["chunked_prefill"].at("cut").get<int64_t>();
      caches = model.make_caches(1, prompt_len);
      static_cast<void>(feed(model, tape, caches, ids, 0, cut));
      expect_close(feed(model, tape, caches, ids, cut, prompt_len),
                   expected.tensor(fmt::format("case{}.chunked_second_logits", i)), kLogits);
    }
  }
}

// With f32 tables instead of upstream's bf16-rounded ones the logits would be off by 4e-4 of max.
TEST(RotaryTableParityTest, FixtureTablesAreRoundedToBf16) {
  constexpr const char* kPattern = "classic/gpt*.json";
  const auto paths = test::find_fixtures(kPattern);
  if (paths.empty()) GTEST_SKIP() << test::missing_fixture(kPattern);
  for (const fs::path& path : paths) {
    const test::GptFixture c(path);
    const Tensor cos = c.file.tensor("buf.cos");
    for (const float x : cos.span<float>()) EXPECT_EQ(x, static_cast<float>(Bf16(x)));
  }
}

}  // namespace
}  // namespace nanochat
