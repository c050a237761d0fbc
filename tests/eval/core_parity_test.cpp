// labels: parity
// CORE against upstream: what is asked, and what a small model answers.
#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "eval/core.h"
#include "eval/core_prompts.h"
#include "model/weights.h"
#include "support/backends.h"
#include "support/fixtures.h"
#include "support/temporary_folder.h"
#include "tokenizer/fixture_vocabulary.h"

namespace nanochat {
namespace {

using nlohmann::json;

constexpr const char* kPrompts = "core/prompts.json";

class CoreParityTest : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    if (test::find_fixtures(kPrompts).empty()) GTEST_SKIP() << test::missing_fixture(kPrompts);
    prompts_ = test::load_json(test::fixtures_dir() / kPrompts);
    tokenizer_ = std::make_unique<Tokenizer>(test::fixture_vocabulary(512));
  }
  static CoreTask task_of(const json& c) {
    const std::string type = c.at("task_type");
    return {.label = type,
            .format = type == "schema"            ? CoreFormat::kSchema
                      : type == "multiple_choice" ? CoreFormat::kMultipleChoice
                                                  : CoreFormat::kLanguageModeling,
            .num_fewshot = c.at("num_fewshot"),
            .delimiter = c.at("continuation_delimiter")};
  }
  std::vector<CoreExample> examples_of(const json& c) const {
    std::vector<CoreExample> examples;
    for (const json& item : prompts_.at("data").at(c.at("task_type").get<std::string>())) {
      CoreExample example{.context = item.value("query", item.value("context", "")),
                          .continuation = item.value("continuation", ""),
                          .gold = item.value("gold", 0)};
      for (const char* key : {"choices", "context_options"}) {
        if (item.contains(key)) example.options = item.at(key).get<std::vector<std::string>>();
      }
      examples.push_back(std::move(example));
    }
    return examples;
  }
  /// Runs `check(case, example, task, examples, index)` over the fixture's examples.
  template <typename F>
  void for_each_example(const json& cases, F check) const {
    for (const json& c : cases) {
      const CoreTask task = task_of(c);
      const std::vector<CoreExample> examples = examples_of(c);
      for (const json& e : c.at("examples")) {
        const int64_t index = e.at("idx");
        SCOPED_TRACE(fmt::format("{} {}-shot '{}' example {}", task.label, task.num_fewshot,
                                 task.delimiter, index));
        check(e, task, examples, index);
      }
    }
  }
  std::vector<CoreSequence> sequences(const CoreTask& task, const std::vector<std::string>& texts,
                                      int64_t max_tokens = INT64_MAX) const {
    const std::vector<std::string_view> views(texts.begin(), texts.end());
    return core_sequences(task.format, tokenizer_->encode_batch(views, tokenizer_->bos_id()),
                          max_tokens);
  }

  json prompts_;
  std::unique_ptr<Tokenizer> tokenizer_;
};
INSTANTIATE_TEST_SUITE_P(, CoreParityTest, test::BothBackends(), test::backend_name);

TEST_P(CoreParityTest, PromptsAndWhatCountsInThemAreUpstreams) {
  int parted = 0;
  for_each_example(
      prompts_.at("cases"), [&](const json& e, const CoreTask& task,
                                const std::vector<CoreExample>& examples, int64_t index) {
        const auto fewshot = pick_fewshot(index, std::ssize(examples), task.num_fewshot);
        EXPECT_EQ(fewshot, e.at("fewshot_indices").get<std::vector<int64_t>>());
        const auto texts = render_core_prompts(task, examples, index, fewshot);
        EXPECT_EQ(texts, e.at("prompts").get<std::vector<std::string>>());
        const auto found = sequences(task, texts);
        if (e.at("tokens").is_null()) {  // upstream refuses it; here all from the parting on counts
          ++parted;
          ASSERT_EQ(found.size(), 1u);
          const auto without = tokenizer_->encode(texts[0]);
          EXPECT_LT(found[0].begin, std::ssize(without) + 1);
          EXPECT_EQ(found[0].end, std::ssize(found[0].tokens));
          return;
        }
        std::vector<std::vector<int32_t>> tokens;
        std::vector<int64_t> begins, ends;
        for (const CoreSequence& s : found) {
          tokens.push_back(s.tokens);
          begins.push_back(s.begin);
          ends.push_back(s.end);
        }
        EXPECT_EQ(tokens, e.at("tokens").get<std::vector<std::vector<int32_t>>>());
        EXPECT_EQ(begins, e.at("start_idxs").get<std::vector<int64_t>>());
        EXPECT_EQ(ends, e.at("end_idxs").get<std::vector<int64_t>>());
      });
  EXPECT_EQ(parted, 3);
}

TEST_P(CoreParityTest, ScoresAreUpstreamsAlsoOfTextsThatAreTooLong) {
  Backend& backend = test::backend_named(GetParam());
  for (const char* name : {"core/scores.json", "core/scores_max_seq_len.json"}) {
    const json fixture = test::load_json(test::fixtures_dir() / name);
    json fields = fixture.at("config");
    fields["pad_vocab_to"] = 1;
    const GptConfig config = GptConfig::parse_json(fields.dump(), name);
    for (const std::optional<WeightFormat> packed :
         {std::optional<WeightFormat>(), std::optional(WeightFormat::kF32)}) {
      Gpt model(config, backend, {.trainable = false, .packed = packed});
      load_weights(model, SafetensorsFile(test::fixtures_dir() / "core/model.safetensors"), "w.");
      SequenceScorer scorer(model);
      CoreOptions options;
      if (!fixture.at("max_seq_len").is_null()) options.max_tokens = fixture.at("max_seq_len");
      for (const json& c : fixture.at("cases")) {
        const CoreTask task = task_of(c);
        SCOPED_TRACE(
            fmt::format("{} {} {}-shot '{}'", name, task.label, task.num_fewshot, task.delimiter));
        std::vector<CoreRecord> records;
        options.on_record = [&](const CoreRecord& r) { records.push_back(r); };
        const EvalScore score =
            evaluate_core_task(scorer, *tokenizer_, task, examples_of(c), options);
        const json& accuracy = c.at("accuracy");
        if (!accuracy.is_null()) {
          EXPECT_NEAR(*score.accuracy(), accuracy.get<double>(), 1e-6);
        }
        ASSERT_EQ(records.size(), c.at("examples").size());
        for (size_t i = 0; i < records.size(); ++i) {
          const json& e = c.at("examples")[i];
          if (e.is_null()) continue;  // upstream refuses it
          SCOPED_TRACE(fmt::format("example {}", i));
          EXPECT_EQ(records[i].correct, e.at("is_correct").get<bool>());
          const auto cropped = e.at("cropped").get<std::vector<int64_t>>();
          EXPECT_EQ(records[i].cropped, std::accumulate(cropped.begin(), cropped.end(), 0LL));
          if (task.format == CoreFormat::kLanguageModeling) {
            EXPECT_EQ(records[i].answer, e.at("predicted").get<std::vector<int32_t>>());
            EXPECT_EQ(records[i].expected, e.at("actual").get<std::vector<int32_t>>());
            continue;
          }
          const json& losses = e.at("mean_losses");
          ASSERT_EQ(records[i].losses.size(), losses.size());
          for (size_t k = 0; k < losses.size(); ++k) {
            if (losses[k].is_null()) {  // of no token
              EXPECT_TRUE(std::isnan(records[i].losses[k]));
            } else {
              EXPECT_NEAR(records[i].losses[k], losses[k].get<double>(), 1e-4);
            }
          }
        }
      }
    }
  }
}

TEST(CoreMetricParityTest, CentringAndTheOrderOfExamplesAreUpstreams) {
  constexpr const char* kMetric = "core/core_metric.json";
  if (test::find_fixtures(kMetric).empty()) GTEST_SKIP() << test::missing_fixture(kMetric);
  const json fixture = test::load_json(test::fixtures_dir() / kMetric);
  std::vector<EvalScore> scores;
  double sum = 0;
  for (const json& t : fixture.at("tasks")) {
    const auto correct = static_cast<int64_t>(std::lround(t.at("accuracy").get<double>() * 1000));
    scores.push_back({.baseline = 0.01 * t.at("random_baseline").get<double>(),
                      .correct = correct,
                      .total = 1000});
    EXPECT_NEAR(*scores.back().centered(), t.at("centered").get<double>(), 1e-12);
    sum += t.at("centered").get<double>();
  }
  EXPECT_NEAR(*mean_centered(scores), sum / static_cast<double>(scores.size()), 1e-12);

  const test::TemporaryFolder folder;
  for (const auto& [count, order] : fixture.at("data_shuffle").items()) {
    std::string lines;
    for (int64_t i = 0; i < std::stoll(count); ++i) {
      lines += fmt::format("{{\"context\": {}, \"continuation\": \"x\"}}\n", i);
    }
    const CoreTask task{.file = folder.write("data.jsonl", lines),
                        .format = CoreFormat::kLanguageModeling};
    std::vector<int64_t> found;
    for (const CoreExample& e : read_core_examples(task)) found.push_back(std::stoll(e.context));
    EXPECT_EQ(found, order.get<std::vector<int64_t>>());
    const auto first = read_core_examples(task, 3);
    EXPECT_EQ(std::ssize(first), std::min<int64_t>(3, std::stoll(count)));
    EXPECT_EQ(std::stoll(first[0].context), found[0]);
  }
}

}  // namespace
}  // namespace nanochat
