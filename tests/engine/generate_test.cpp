// labels: unit parity
#include "engine/generate.h"

#include <filesystem>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "core/error.h"
#include "engine/engine.h"
#include "support/backends.h"
#include "support/gpt_fixture.h"

namespace nanochat {
namespace {

using Tokens = std::vector<int32_t>;

class GenerateParityTest : public ::testing::TestWithParam<std::string> {
 protected:
  /// f(model, prompts, what upstream generates) for each fixture.
  template <typename F>
  void for_each_case(const GptOptions& options, F&& f) {
    constexpr const char* kPattern = "classic/decode*.json";
    const auto paths = test::find_fixtures(kPattern);
    if (paths.empty()) GTEST_SKIP() << test::missing_fixture(kPattern);
    for (const std::filesystem::path& path : paths) {
      SCOPED_TRACE(path.filename().string());
      const nlohmann::json decode = test::load_json(path);
      const test::GptFixture c(path.parent_path() / decode.at("config").get<std::string>());
      Gpt model(c.config, test::backend_named(GetParam()), options);
      load_weights(model, c.file, "w.");
      std::vector<Tokens> prompts, expected;
      for (const nlohmann::json& item : decode.at("cases")) {
        prompts.push_back(item.at("prompt"));
        expected.push_back(item.at("generated"));
      }
      f(model, prompts, expected);
    }
  }
};
INSTANTIATE_TEST_SUITE_P(, GenerateParityTest, test::BothBackends(), test::backend_name);

TEST_P(GenerateParityTest, GreedyTokensOfAllPromptsTogetherAreUpstreams) {
  for_each_case({.trainable = false}, [](Gpt& model, const std::vector<Tokens>& prompts,
                                         const std::vector<Tokens>& expected) {
    const auto n = std::ssize(expected.front());
    EXPECT_EQ(generate(model, prompts, {.max_new_tokens = n}), expected);
  });
}

TEST_P(GenerateParityTest, PackedInChunksAndWithPrefixesReusedTheyAreToo) {
  for_each_case(
      {.trainable = false, .packed = WeightFormat::kF32},
      [](Gpt& model, const std::vector<Tokens>& prompts, const std::vector<Tokens>& expected) {
        struct Setting {
          int64_t slots, chunk;
        };
        for (const auto& [slots, chunk] : {Setting{3, 1}, {1, 16}, {3, 500}}) {
          SCOPED_TRACE(fmt::format("{} slots, chunks of {}", slots, chunk));
          Engine engine(
              model, nullptr,
              {.slots = slots, .context = model.config().max_positions(), .prefill_chunk = chunk});
          std::vector<Tokens> got(prompts.size());
          for (size_t i = 0; i < prompts.size(); ++i) {
            engine.submit({.prompt = prompts[i],
                           .max_tokens = std::ssize(expected[i]),
                           .sampling = {.temperature = 0}},
                          [&got, i](const GenerationEvent& e) { got[i].push_back(e.id); });
          }
          engine.run();
          EXPECT_EQ(got, expected);
        }
      });
}

class GenerateTest : public ::testing::Test {
 protected:
  GenerateTest()
      : model_({.sequence_len = 8,
                .vocab_size = 16,
                .n_layer = 2,
                .n_head = 2,
                .n_kv_head = 1,
                .n_embd = 16},
               reference_backend()) {
    model_.init_weights(3);
    for (Parameter& p : model_.parameters()) {  // what starts at zero would hide mistakes
      fill_normal(p.value, RandomStream(5, RandomPurpose::kTest, 0, item_++), 0, 0.5F);
    }
    model_.refresh_compute_weights();
  }
  uint32_t item_ = 0;
  Gpt model_;
};

TEST_F(GenerateTest, ARowIsTheSameAloneAndInCompanyAndOneSeedIsOneText) {
  const std::vector<Tokens> prompts{{1}, {2, 3, 4, 5, 6}, {7, 8}};
  const GenerateOptions options{.max_new_tokens = 12, .sampling = {.temperature = 1.5}, .seed = 9};
  const auto together = generate(model_, prompts, options);
  EXPECT_EQ(together, generate(model_, prompts, options));
  EXPECT_EQ(together[0], generate(model_, std::vector<Tokens>{prompts[0]}, options)[0]);
  GenerateOptions other = options;
  other.seed = 10;
  EXPECT_NE(together, generate(model_, prompts, other));
}

TEST_F(GenerateTest, StopTokensEndARowAndAreNotPartOfIt) {
  const std::vector<Tokens> prompts{{1, 2}, {3}};
  const auto whole = generate(model_, prompts, {.max_new_tokens = 10});
  const int32_t stop = whole[0][3];
  const auto cut = generate(model_, prompts, {.max_new_tokens = 10, .stop_ids = {stop}});
  for (size_t row = 0; row < 2; ++row) {
    Tokens expected;
    for (const int32_t id : whole[row]) {
      if (id == stop) break;
      expected.push_back(id);
    }
    EXPECT_EQ(cut[row], expected);
  }
}

TEST_F(GenerateTest, EveryTokenIsToldAsItComes) {
  std::vector<Tokens> heard(2);
  const auto out = generate(model_, std::vector<Tokens>{{1}, {2, 3}}, {.max_new_tokens = 5},
                            [&](size_t row, int32_t id) { heard[row].push_back(id); });
  EXPECT_EQ(heard, out);
}

TEST_F(GenerateTest, NothingAskedForIsNothing) {
  EXPECT_EQ(generate(model_, std::vector<Tokens>{{1}}, {.max_new_tokens = 0}),
            std::vector<Tokens>{{}});
  EXPECT_TRUE(generate(model_, {}, {}).empty());
}

TEST_F(GenerateTest, EmptyAndEndlessPromptsAreRefused) {
  EXPECT_THROW(static_cast<void>(generate(model_, std::vector<Tokens>{{1}, {}}, {})), UsageError);
  EXPECT_THROW(static_cast<void>(
                   generate(model_, std::vector<Tokens>{Tokens(70, 1)}, {.max_new_tokens = 11})),
               UsageError);
  EXPECT_NO_THROW(static_cast<void>(
      generate(model_, std::vector<Tokens>{Tokens(70, 1)}, {.max_new_tokens = 10})));
}

}  // namespace
}  // namespace nanochat
