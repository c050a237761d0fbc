#include "eval/sequence_scorer.h"

#include <map>
#include <mutex>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "core/error.h"
#include "engine/small_model.h"
#include "ops/profiling_backend.h"
#include "support/backends.h"
#include "support/refusal.h"

namespace nanochat {
namespace {

using Ids = std::vector<int32_t>;

struct Text {
  Ids ids;
  int64_t first;
};
using Logits = std::map<std::pair<size_t, int64_t>, std::vector<float>>;

Ids counting(int32_t from, int32_t n, int32_t step = 7) {
  Ids ids;
  for (int32_t i = 0; i < n; ++i) ids.push_back((from + i * step) % 272);
  return ids;
}

Ids joined(Ids a, const Ids& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

/// Questions after one long beginning, some with choices, some that share little or nothing, two
/// alike, one whose beginning is another: all in no order.
std::vector<Text> texts() {
  const Ids examples = counting(1, 90);
  std::vector<Text> texts;
  for (int32_t q = 0; q < 3; ++q) {
    const Ids question = joined(examples, counting(50 + q, 20 + q, 11));
    const auto first = std::ssize(question) - 1;
    for (int32_t c = 0; c < 4; ++c) texts.push_back({joined(question, counting(c, 3 + c)), first});
  }
  texts.push_back({counting(200, 5), 0});
  texts.push_back({counting(200, 12), 11});
  texts.push_back({examples, 80});
  texts.push_back(texts[4]);
  texts.push_back({counting(3, 140, 13), 0});
  std::swap(texts[0], texts[9]);
  std::swap(texts[2], texts[14]);
  return texts;
}

Logits run(SequenceScorer& scorer, const std::vector<Text>& texts) {
  std::vector<ScoreRequest> requests;
  for (const Text& text : texts) {
    requests.push_back({.tokens = text.ids, .first = text.first, .end = std::ssize(text.ids)});
  }
  Logits found;
  std::mutex mutex;
  scorer.run(requests, [&](size_t request, int64_t position, std::span<const float> logits) {
    const std::lock_guard lock(mutex);
    const bool is_new =
        found.emplace(std::pair(request, position), std::vector(logits.begin(), logits.end()))
            .second;
    EXPECT_TRUE(is_new) << request << " at " << position;
  });
  return found;
}

class SequenceScorerTest : public ::testing::TestWithParam<std::string> {
 protected:
  Backend& backend_ = test::backend_named(GetParam());
};
INSTANTIATE_TEST_SUITE_P(, SequenceScorerTest, test::BothBackends(), test::backend_name);

TEST_P(SequenceScorerTest, LogitsAreThoseOfEachSequenceAlone) {
  for (const int64_t window : {-1, 20}) {
    for (const auto packed : {std::optional<WeightFormat>(), std::optional(WeightFormat::kF32)}) {
      const auto model =
          test::random_model(test::small_config(272, window), backend_, DType::kF32, packed);
      SequenceScorer scorer(*model);
      const Logits found = run(scorer, texts());
      size_t n = 0;
      for (size_t i = 0; i < texts().size(); ++i) {
        const auto [ids, first] = texts()[i];
        Tape tape(backend_, host_allocator());
        const TokenRuns runs = TokenRuns::uniform(1, std::ssize(ids));
        const Var hidden =
            model->forward(tape, tensor_of(std::span<const int32_t>(ids), {std::ssize(ids)}), runs);
        const Tensor logits = model->logits(tape, hidden.value);
        for (int64_t p = first; p < std::ssize(ids); ++p, ++n) {
          ASSERT_TRUE(found.contains({i, p})) << i << " at " << p;
          for (int64_t v = 0; v < 272; ++v) {
            ASSERT_NEAR(found.at({i, p})[static_cast<size_t>(v)], logits.data<float>()[p * 272 + v],
                        2e-4);
          }
        }
      }
      EXPECT_EQ(found.size(), n);
    }
  }
}

TEST_P(SequenceScorerTest, OptionsChangeNoBitOfAPackedModel) {
  for (const WeightFormat format : {WeightFormat::kF32, WeightFormat::kBf16, WeightFormat::kInt8}) {
    const auto model = test::random_model(test::small_config(), backend_, DType::kF32, format);
    SequenceScorer plain(*model, {.reuse_prefixes = false});
    const Logits expected = run(plain, texts());
    using Sizes = std::pair<int64_t, int64_t>;
    for (const auto& [slots, batch_tokens] :
         {Sizes(1, 50), Sizes(2, 7), Sizes(3, 2048), Sizes(32, 64), Sizes(32, 2048)}) {
      SCOPED_TRACE(fmt::format("{} slots, {} tokens", slots, batch_tokens));
      SequenceScorer scorer(*model, {.slots = slots, .batch_tokens = batch_tokens});
      EXPECT_EQ(run(scorer, texts()), expected);
      EXPECT_EQ(run(scorer, texts()), expected);  // a second time, in caches that hold the first
    }
  }
}

TEST_P(SequenceScorerTest, ASharedBeginningIsComputedOnce) {
  const auto model = test::random_model(test::small_config(), backend_);
  const Ids question = counting(1, 100);
  std::vector<Text> choices;
  for (int32_t c = 0; c < 4; ++c) choices.push_back({joined(question, counting(100 + c, 5)), 99});
  SequenceScorer scorer(*model), plain(*model, {.reuse_prefixes = false});
  static_cast<void>(run(scorer, choices));
  EXPECT_EQ(scorer.stats().tokens, 4 * 105);
  EXPECT_EQ(scorer.stats().computed, 99 + 4 * 6);  // the last of the question is asked each time
  EXPECT_EQ(scorer.stats().steps, 2);
  static_cast<void>(run(plain, choices));
  EXPECT_EQ(plain.stats().computed, 4 * 105);
  EXPECT_EQ(plain.stats().steps, 1);  // and nothing is padded
}

TEST_P(SequenceScorerTest, TheHeadRunsOnTheRowsThatAreAskedForAlone) {
  int64_t head_rows = 0;
  ProfilingBackend backend(backend_, [&](const ProfilingBackend::Operation& operation) {
    if (operation.output.rank() == 2 && operation.output.dim(1) == 272 &&
        std::string_view(operation.name).starts_with("matmul")) {
      head_rows += operation.output.dim(0);
    }
  });
  const auto model = test::random_model(test::small_config(), backend);
  SequenceScorer scorer(*model);
  std::vector<Text> prompts;
  for (int32_t i = 0; i < 10; ++i) prompts.push_back({counting(i, 40), 39});
  static_cast<void>(run(scorer, prompts));
  EXPECT_EQ(head_rows, 10);
}

TEST_P(SequenceScorerTest, FewerSlotsAreMadeWhenCachesWouldBeTooLarge) {
  const auto model = test::random_model(test::small_config(), backend_);
  SequenceScorer plain(*model), small(*model, {.max_cache_bytes = 1});
  EXPECT_EQ(run(small, texts()), run(plain, texts()));
  EXPECT_GT(small.stats().steps, plain.stats().steps);
}

TEST_P(SequenceScorerTest, WhatWantsNothingCostsNothingAndWhatIsTooLongIsRefused) {
  const auto model = test::random_model(test::small_config(), backend_);
  SequenceScorer scorer(*model);
  EXPECT_TRUE(run(scorer, {}).empty());
  EXPECT_TRUE(run(scorer, {{counting(0, 9), 9}}).empty());
  EXPECT_EQ(scorer.stats().steps, 0);
  const std::string message = test::refusal<UsageError>([&] {
    static_cast<void>(run(scorer, {{counting(0, 641), 640}}));
  });
  EXPECT_SAYS(message, "641 tokens");
  EXPECT_SAYS(message, "640 positions");
}

TEST_P(SequenceScorerTest, WhatOnStepThrowsEndsTheWorkAndAnotherRunGoesWell) {
  const auto model = test::random_model(test::small_config(), backend_);
  bool stop = true;
  SequenceScorer scorer(*model, {.on_step = [&] {
    if (stop) throw IoError("enough");
  }});
  EXPECT_THROW(static_cast<void>(run(scorer, texts())), IoError);
  stop = false;
  SequenceScorer plain(*model);
  EXPECT_EQ(run(scorer, texts()), run(plain, texts()));
}

}  // namespace
}  // namespace nanochat
