#include "engine/engine.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <map>
#include <random>
#include <set>
#include <thread>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.h"
#include "engine/small_model.h"
#include "support/backends.h"
#include "support/sanitizers.h"
#include "tokenizer/small_vocabulary.h"

namespace nanochat {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Ids = std::vector<int32_t>;

/// What a request came to.
struct Answer {
  Ids ids;
  std::vector<bool> sampled;
  std::string text;
  std::vector<float> logprobs;
  std::optional<FinishReason> finish;
  int64_t events_after_finish = 0;

  GenerationListener listener() {
    return [this](const GenerationEvent& e) {
      events_after_finish += finish.has_value();
      if (e.id >= 0) {
        ids.push_back(e.id);
        sampled.push_back(e.sampled);
        if (e.logprob) logprobs.push_back(*e.logprob);
      }
      text += e.text;
      finish = e.finish;
    };
  }
};

Answer ask(Engine& engine, const GenerationRequest& request) {
  Answer answer;
  engine.submit(request, answer.listener());
  engine.run();
  EXPECT_TRUE(answer.finish);
  return answer;
}

Ids random_prompt(std::mt19937& random, size_t n, int32_t below = 263) {
  Ids ids;
  for (size_t i = 0; i < n; ++i) {
    ids.push_back(static_cast<int32_t>(random() % static_cast<uint32_t>(below)));
  }
  return ids;
}

const Tokenizer& tokenizer() {
  static const Tokenizer t(test::small_vocabulary());
  return t;
}

GenerationRequest request_of(Ids prompt, int64_t max_tokens = 12) {
  return {.prompt = std::move(prompt), .max_tokens = max_tokens, .sampling = {.temperature = 0.9}};
}

// ---- the same tokens, whatever else happens ----------------------------------------------------

struct Setting {
  const char* backend;
  DType dtype;
  WeightFormat format;
  int64_t window;
  friend void PrintTo(const Setting& s, std::ostream* out) {
    *out << fmt::format("{} {} {} {}", s.backend, name_of(s.dtype), name_of(s.format), s.window);
  }
};

class EngineBitsTest : public ::testing::TestWithParam<Setting> {
 protected:
  EngineBitsTest()
      : model_(test::random_model(test::small_config(272, GetParam().window),
                                  test::backend_named(GetParam().backend), GetParam().dtype,
                                  GetParam().format)) {}
  std::unique_ptr<Gpt> model_;
};
INSTANTIATE_TEST_SUITE_P(, EngineBitsTest,
                         ::testing::Values(Setting{"cpu", DType::kF32, WeightFormat::kF32, -1},
                                           Setting{"cpu", DType::kBf16, WeightFormat::kBf16, -1},
                                           Setting{"cpu", DType::kBf16, WeightFormat::kInt8, 13},
                                           Setting{"cpu", DType::kF32, WeightFormat::kInt8, -1},
                                           Setting{"reference", DType::kF32, WeightFormat::kF32,
                                                   13}));

TEST_P(EngineBitsTest, ChunksCompanyAndReuseChangeNoToken) {
  std::mt19937 random(3);
  const Ids beginning = random_prompt(random, 40);
  std::vector<GenerationRequest> requests;
  for (uint32_t i = 0; i < 12; ++i) {
    Ids prompt = i % 3 == 0 ? beginning : Ids{};
    const Ids more = random_prompt(random, 1 + random() % 50);
    prompt.insert(prompt.end(), more.begin(), more.end());
    GenerationRequest r = request_of(prompt, 20);
    r.sample = i % 2;
    r.top_logprobs = 0;  // shows the last bit of the logits
    if (i % 4 == 3) r.sampling.temperature = 0;
    requests.push_back(r);
  }
  std::vector<Answer> alone;
  for (const GenerationRequest& r : requests) {
    Engine engine(*model_, nullptr,
                  {.slots = 1, .context = 200, .prefill_chunk = 200, .reuse_prefixes = false});
    alone.push_back(ask(engine, r));
    ASSERT_EQ(alone.back().ids.size(), 20);
  }
  for (const int64_t chunk : {1, 7, 16, 64}) {
    for (const int64_t slots : {1, 3, 16}) {
      SCOPED_TRACE(fmt::format("{} slots, chunks of {}", slots, chunk));
      Engine engine(*model_, nullptr, {.slots = slots, .context = 200, .prefill_chunk = chunk});
      std::vector<Answer> together(requests.size());
      for (size_t i = 0; i < requests.size(); ++i) {
        engine.submit(requests[i], together[i].listener());
        if (i % 5 == 4) engine.step();
      }
      engine.run();
      for (size_t i = 0; i < requests.size(); ++i) {
        EXPECT_EQ(together[i].ids, alone[i].ids) << i;
        EXPECT_EQ(together[i].logprobs, alone[i].logprobs) << i;
      }
      // Four of them begin alike; a ring has soon forgotten its beginning.
      if (slots == 16) {
        EXPECT_GT(engine.stats().reused_tokens, 60);
      }
    }
  }
}

class EngineTest : public ::testing::Test {
 protected:
  std::unique_ptr<Gpt> model_ = test::random_model(test::small_config(), cpu_backend());
};

TEST_F(EngineTest, SamplesOfOnePromptSharePrefillAndDiffer) {
  std::mt19937 random(4);
  const Ids prompt = random_prompt(random, 60);
  Engine engine(*model_, nullptr, {.slots = 8, .context = 100});
  std::vector<Answer> answers(8);
  std::set<int32_t> first;
  for (uint32_t i = 0; i < 8; ++i) {
    GenerationRequest r = request_of(prompt);
    r.sample = i;
    engine.submit(r, answers[i].listener());
  }
  engine.run();
  for (const Answer& a : answers) first.insert(a.ids.at(0));
  EXPECT_GT(first.size(), 2);
  EXPECT_EQ(engine.stats().reused_tokens, 7 * 59);
}

TEST_F(EngineTest, TheNextTurnOfAChatReadsOnlyWhatIsNew) {
  std::mt19937 random(5);
  Engine engine(*model_, nullptr, {.slots = 4, .context = 200});
  Ids conversation = random_prompt(random, 30);
  for (int turn = 0; turn < 4; ++turn) {
    const int64_t reused = engine.stats().reused_tokens;
    const Answer answer = ask(engine, request_of(conversation, 10));
    if (turn > 0) {
      // All but the last token drawn, which never went through the model, and the new question.
      EXPECT_EQ(engine.stats().reused_tokens - reused, std::ssize(conversation) - 8 - 1);
    }
    Engine fresh(*model_, nullptr, {.slots = 1, .context = 200});
    EXPECT_EQ(answer.ids, ask(fresh, request_of(conversation, 10)).ids);
    conversation.insert(conversation.end(), answer.ids.begin(), answer.ids.end());
    const Ids question = random_prompt(random, 8);
    conversation.insert(conversation.end(), question.begin(), question.end());
  }
}

TEST_F(EngineTest, OneSeedIsOneAnswer) {
  Engine engine(*model_, nullptr, {.slots = 2});
  GenerationRequest r = request_of({1, 2, 3});
  const Ids first = ask(engine, r).ids;
  EXPECT_EQ(ask(engine, r).ids, first);
  r.seed = 43;
  EXPECT_NE(ask(engine, r).ids, first);
}

// ---- how answers end ---------------------------------------------------------------------------

TEST_F(EngineTest, AnswersEndForTheReasonGiven) {
  Engine engine(*model_, &tokenizer(), {.slots = 2, .context = 20});
  const GenerationRequest r = request_of({1, 2, 3, 4}, 8);
  const Answer whole = ask(engine, r);
  EXPECT_EQ(whole.ids.size(), 8);
  EXPECT_EQ(whole.finish, FinishReason::kLength);
  EXPECT_EQ(whole.text, tokenizer().decode(whole.ids));

  GenerationRequest zero = r;
  zero.max_tokens = 0;
  const Answer nothing = ask(engine, zero);
  EXPECT_TRUE(nothing.ids.empty());
  EXPECT_EQ(nothing.finish, FinishReason::kLength);

  GenerationRequest stop = r;
  stop.stop_ids = {whole.ids[3], 271};
  const Answer stopped = ask(engine, stop);
  EXPECT_EQ(stopped.ids, Ids(whole.ids.begin(), std::ranges::find(whole.ids, whole.ids[3])));
  EXPECT_EQ(stopped.finish, FinishReason::kStop);

  stop.stop_ids = {whole.ids[0]};
  EXPECT_TRUE(ask(engine, stop).ids.empty());

  GenerationRequest longer = r;
  longer.max_tokens = 1000;
  const Answer full = ask(engine, longer);
  EXPECT_EQ(full.ids.size(), 16);
  EXPECT_EQ(full.finish, FinishReason::kContext);
}

TEST_F(EngineTest, RequestsThatMakeNoSenseAreRefused) {
  Engine engine(*model_, &tokenizer(), {.slots = 1, .context = 20});
  const auto refusal = [&](GenerationRequest r) {
    try {
      engine.submit(std::move(r), {});
      return std::string("accepted");
    } catch (const UsageError& e) {
      return std::string(e.what());
    }
  };
  EXPECT_THAT(refusal({}), HasSubstr("at least"));
  EXPECT_THAT(refusal(request_of(Ids(20, 1))), HasSubstr("20 tokens leaves no room"));
  EXPECT_EQ(refusal(request_of(Ids(19, 1), 1)), "accepted");
  EXPECT_THAT(refusal(request_of({1, 272})), HasSubstr("token 272"));
  EXPECT_THAT(refusal(request_of({-1})), HasSubstr("token -1"));
  EXPECT_THAT(refusal(request_of({1}, -1)), HasSubstr("max tokens"));
  GenerationRequest r = request_of({1});
  r.sampling.top_p = 0;
  EXPECT_THAT(refusal(r), HasSubstr("top-p"));
  r = request_of({1});
  r.stop_strings = {"\xff"};
  EXPECT_THAT(refusal(r), HasSubstr("UTF-8"));
  r = request_of({1});
  r.use_tool = true;
  EXPECT_THAT(refusal(r), HasSubstr("tool"));
  r = request_of({1});
  r.top_logprobs = 300;
  EXPECT_THAT(refusal(r), HasSubstr("log-probabilities"));
  engine.run();
}

TEST_F(EngineTest, LogprobsAreTheModelsOwn) {
  Engine engine(*model_, nullptr, {.slots = 1});
  GenerationRequest r = request_of({7, 8, 9}, 5);
  r.sampling.temperature = 0;
  r.top_logprobs = 272;
  int n = 0;
  engine.submit(r, [&](const GenerationEvent& e) {
    ++n;
    ASSERT_EQ(e.top.size(), 272);
    EXPECT_EQ(e.top[0].id, e.id);  // greedy
    EXPECT_EQ(e.top[0].logprob, e.logprob);
    double sum = 0;
    for (const TokenLogprob& t : e.top) sum += std::exp(static_cast<double>(t.logprob));
    EXPECT_NEAR(sum, 1, 1e-5);
    EXPECT_TRUE(std::ranges::is_sorted(e.top, std::greater<>(), &TokenLogprob::logprob));
  });
  engine.run();
  EXPECT_EQ(n, 5);
}

TEST_F(EngineTest, CancelledRequestsEndAndFreeTheirSlots) {
  Engine engine(*model_, nullptr, {.slots = 1, .context = 100});
  Answer running, waiting, other;
  const RequestId first = engine.submit(request_of({1}, 90), running.listener());
  const RequestId second = engine.submit(request_of({2}, 90), waiting.listener());
  engine.submit(request_of({3}, 5), other.listener());
  for (int i = 0; i < 10; ++i) engine.step();
  EXPECT_FALSE(running.finish);
  std::thread([&] {  // from anywhere
    engine.cancel(second);
    engine.cancel(first);
    engine.cancel(12345);
  })
      .join();
  engine.run();
  EXPECT_EQ(running.finish, FinishReason::kCancelled);
  EXPECT_EQ(waiting.finish, FinishReason::kCancelled);
  EXPECT_LT(running.ids.size(), 15);
  EXPECT_TRUE(waiting.ids.empty());
  EXPECT_EQ(other.ids.size(), 5);
  EXPECT_EQ(engine.stats().free_slots, 1);
}

TEST_F(EngineTest, WhatAListenerThrowsHurtsItsRequestOnly) {
  Engine engine(*model_, nullptr, {.slots = 4});
  Answer a, b;
  engine.submit(request_of({1}), a.listener());
  engine.submit(request_of({2}), [](const GenerationEvent&) { throw DataError("enough"); });
  engine.submit(request_of({3}), b.listener());
  EXPECT_THROW(engine.run(), DataError);
  EXPECT_NO_THROW(engine.run());
  EXPECT_EQ(a.ids.size(), 12);
  EXPECT_EQ(b.ids.size(), 12);
  EXPECT_EQ(engine.stats().running, 0);
}

TEST_F(EngineTest, BrokenWeightsAreAnError) {
  Gpt broken(test::small_config(), reference_backend());
  broken.init_weights(1);
  Tensor head = broken.parameter("lm_head.weight").value;
  std::ranges::fill(head.span<float>(), std::numeric_limits<float>::quiet_NaN());
  Engine engine(broken, nullptr, {.slots = 1});
  Answer a;
  engine.submit(request_of({1}), a.listener());
  EXPECT_THROW(engine.run(), NumericError);
  EXPECT_EQ(a.finish, FinishReason::kFailed);
  EXPECT_NO_THROW(engine.run());
}

// ---- memory ------------------------------------------------------------------------------------

TEST_F(EngineTest, MemoryIsPlannedAndLimitsTheSlots) {
  const EngineMemory all = plan_engine_memory(*model_, {.slots = 8, .context = 64});
  EXPECT_EQ(all.cache_per_slot, 2 * 2 * 64 * 2 * 8 * 4);
  const EngineMemory half =
      plan_engine_memory(*model_, {.slots = 8, .context = 64, .cache_dtype = DType::kBf16});
  EXPECT_EQ(half.cache_per_slot, all.cache_per_slot / 2);
  const EngineMemory some = plan_engine_memory(
      *model_,
      {.slots = 8, .context = 64, .max_memory_bytes = all.total() - 3 * all.cache_per_slot});
  EXPECT_LT(some.slots, 8);
  EXPECT_GE(some.slots, 4);
  EXPECT_LE(some.total(), all.total() - 3 * all.cache_per_slot);
  EXPECT_THROW(
      static_cast<void>(plan_engine_memory(*model_, {.slots = 8, .max_memory_bytes = 1000})),
      UsageError);
  EXPECT_THROW(static_cast<void>(plan_engine_memory(*model_, {.context = 100000})), UsageError);

  const auto windowed = test::random_model(test::small_config(272, 13), cpu_backend());
  EXPECT_EQ(plan_engine_memory(*windowed, {.context = 600, .prefill_chunk = 16}).cache_per_slot,
            2 * 2 * 48 * 2 * 8 * 4);
}

TEST_F(EngineTest, Bf16CachesAreCloseToTheModelsOwn) {
  GenerationRequest r = request_of(Ids(40, 9), 1);
  r.top_logprobs = 0;
  Engine exact(*model_, nullptr, {.slots = 1});
  Engine rounded(*model_, nullptr, {.slots = 1, .cache_dtype = DType::kBf16});
  EXPECT_NEAR(ask(exact, r).logprobs.at(0), ask(rounded, r).logprobs.at(0), 0.1);
}

// ---- tools -------------------------------------------------------------------------------------

int32_t special(std::string_view name) { return tokenizer().special_id(name); }

/// Says "1+2" to the tool after <|assistant_start|>, then '!' and <|assistant_end|>.
std::unique_ptr<Gpt> tool_user() {
  const int32_t start = special("<|python_start|>"), end = special("<|python_end|>");
  return test::bigram_model({{special("<|assistant_start|>"), start},
                             {start, '1'},
                             {'1', '+'},
                             {'+', '2'},
                             {'2', end},
                             {end, '?'},
                             {'?', special("<|assistant_end|>")},
                             {special("<|output_end|>"), '!'},
                             {'!', special("<|assistant_end|>")}},
                            tokenizer().vocab_size(), cpu_backend());
}
GenerationRequest tool_request() {
  return {.prompt = {special("<|bos|>"), special("<|assistant_start|>")},
          .sampling = {.temperature = 0},
          .stop_ids = {special("<|assistant_end|>"), special("<|bos|>")},
          .use_tool = true};
}

class EngineToolTest : public ::testing::TestWithParam<bool> {
 protected:
  std::unique_ptr<Gpt> model_ = tool_user();
};
INSTANTIATE_TEST_SUITE_P(SlowOrNot, EngineToolTest, ::testing::Bool());

TEST_P(EngineToolTest, ResultsAreForcedIntoTheStream) {
  std::string asked;
  Engine engine(*model_, &tokenizer(),
                {.slots = 2,
                 .tool = [&](std::string_view block) -> std::optional<std::string> {
                   asked = block;
                   return "seven";
                 },
                 .tool_is_slow = GetParam()});
  const Answer answer = ask(engine, tool_request());
  EXPECT_EQ(asked, "1+2");
  Ids expected{special("<|python_start|>"), '1', '+', '2', special("<|python_end|>"),
               special("<|output_start|>")};
  tokenizer().encode_to("seven", expected);
  expected.push_back(special("<|output_end|>"));
  expected.push_back('!');
  EXPECT_EQ(answer.ids, expected);
  for (size_t i = 0; i < expected.size(); ++i) {
    EXPECT_EQ(answer.sampled[i], i < 5 || i + 1 == expected.size()) << i;
  }
  EXPECT_EQ(answer.text, "1+2seven!");
  EXPECT_EQ(answer.finish, FinishReason::kStop);

  GenerationRequest without = tool_request();
  without.use_tool = false;
  EXPECT_EQ(ask(engine, without).text, "1+2?");
}

TEST_P(EngineToolTest, NoResultForcesNothingAndMaxTokensCountsForcedOnes) {
  Engine none(*model_, &tokenizer(),
              {.tool = [](std::string_view) { return std::optional<std::string>(); },
               .tool_is_slow = GetParam()});
  EXPECT_EQ(ask(none, tool_request()).text, "1+2?");
  Engine some(*model_, &tokenizer(),
              {.tool = [](std::string_view) { return std::optional<std::string>("seven"); },
               .tool_is_slow = GetParam()});
  GenerationRequest r = tool_request();
  r.max_tokens = 7;
  const Answer answer = ask(some, r);
  EXPECT_EQ(answer.ids.size(), 7);
  EXPECT_EQ(answer.finish, FinishReason::kLength);
}

TEST(EngineSlowToolTest, OthersGoOnMeanwhileAndACancelledOneIsNotWaitedFor) {
  const auto model = tool_user();
  std::atomic<bool> release = false;
  Answer slow, fast, cancelled;
  {
    Engine engine(*model, &tokenizer(),
                  {.slots = 3,
                   .tool =
                       [&](std::string_view) {
                         while (!release) std::this_thread::yield();
                         return std::optional<std::string>("done");
                       },
                   .tool_is_slow = true});
    engine.submit(tool_request(), slow.listener());
    const RequestId id = engine.submit(tool_request(), cancelled.listener());
    engine.submit({.prompt = {'x'}, .max_tokens = 50, .sampling = {.temperature = 0}},
                  fast.listener());
    while (!fast.finish) engine.step();
    EXPECT_FALSE(slow.finish);
    engine.cancel(id);
    while (!cancelled.finish) engine.step();
    EXPECT_EQ(cancelled.finish, FinishReason::kCancelled);
    release = true;
    engine.run();
  }
  EXPECT_EQ(slow.text, "1+2done!");
}

TEST(EngineStopStringTest, TheStopStringAndWhatFollowsAreNotShown) {
  std::map<int32_t, int32_t> successor;
  const std::string text = "abcdefgh";
  for (size_t i = 0; i + 1 < text.size(); ++i) successor[text[i]] = text[i + 1];
  const auto model = test::bigram_model(successor, tokenizer().vocab_size(), cpu_backend());
  Engine engine(*model, &tokenizer(), {.slots = 1});
  GenerationRequest r{.prompt = {'a'}, .max_tokens = 7, .sampling = {.temperature = 0}};
  EXPECT_EQ(ask(engine, r).text, "bcdefgh");
  r.stop_strings = {"ef"};
  const Answer answer = ask(engine, r);
  EXPECT_EQ(answer.text, "bcd");
  EXPECT_EQ(answer.finish, FinishReason::kStop);
  EXPECT_EQ(answer.ids.size(), 5);
  r.stop_strings = {"hx", ""};  // its beginning comes last: shown when nothing follows
  EXPECT_EQ(ask(engine, r).text, "bcdefgh");
}

// ---- everything at once ------------------------------------------------------------------------

TEST(EngineStressTest, AThousandRandomRequests) {
  const auto model = tool_user();  // says the same after the same; other tokens lead to token 0
  const auto random_one =
      test::random_model(test::small_config(tokenizer().vocab_size()), cpu_backend());
  const Tool tool = [](std::string_view block) { return std::optional<std::string>(block); };
  const int n = test::kSanitized ? 200 : 1000;
  for (Gpt* const gpt : {model.get(), random_one.get()}) {
    std::mt19937 random(7);
    const EngineOptions options{
        .slots = 5, .context = 64, .prefill_chunk = 16, .tool = tool, .tool_is_slow = true};
    std::vector<GenerationRequest> requests;
    for (int i = 0; i < n; ++i) {
      GenerationRequest r;
      if (random() % 3 == 0) r.prompt = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
      const Ids more = random_prompt(random, 1 + random() % 30, tokenizer().vocab_size());
      r.prompt.insert(r.prompt.end(), more.begin(), more.end());
      if (random() % 2 == 0) r.prompt.push_back(special("<|assistant_start|>"));
      r.max_tokens = random() % 20;
      r.seed = random();
      r.sampling = {.temperature = random() % 2 == 0 ? 0.0 : 1.0,
                    .top_k = static_cast<int64_t>(random() % 40)};
      r.stop_ids = {special("<|assistant_end|>")};
      r.use_tool = true;
      if (random() % 4 == 0) r.stop_strings = {"e", "th"};
      requests.push_back(r);
    }
    Engine engine(*gpt, &tokenizer(), options);
    std::vector<Answer> answers(requests.size());
    std::vector<RequestId> ids(requests.size());
    std::set<size_t> cancelled;
    std::thread clients([&] {  // arrivals and cancellations, while the engine runs
      std::mt19937 when(8);
      for (size_t i = 0; i < requests.size(); ++i) {
        ids[i] = engine.submit(requests[i], answers[i].listener());
        if (when() % 4 == 0) std::this_thread::sleep_for(std::chrono::microseconds(when() % 500));
        if (when() % 10 == 0) {
          const size_t victim = when() % (i + 1);
          cancelled.insert(victim);
          engine.cancel(ids[victim]);
        }
      }
    });
    while (engine.stats().requests < n || engine.step()) {
      if (!engine.step()) engine.wait(0.001);
    }
    clients.join();
    engine.run();
    EXPECT_EQ(engine.stats().free_slots, 5);
    EXPECT_EQ(engine.stats().waiting, 0);

    Engine alone(
        *gpt, &tokenizer(),
        {.slots = 1, .context = 64, .prefill_chunk = 64, .reuse_prefixes = false, .tool = tool});
    int n_cancelled = 0;
    for (size_t i = 0; i < requests.size(); ++i) {
      SCOPED_TRACE(i);
      const Answer& a = answers[i];
      ASSERT_TRUE(a.finish);
      EXPECT_EQ(a.events_after_finish, 0);
      const Answer expected = ask(alone, requests[i]);
      if (a.finish == FinishReason::kCancelled) {
        ++n_cancelled;
        EXPECT_TRUE(cancelled.contains(i));
        ASSERT_LE(a.ids.size(), expected.ids.size());
        EXPECT_TRUE(std::equal(a.ids.begin(), a.ids.end(), expected.ids.begin()));
      } else {
        EXPECT_EQ(a.ids, expected.ids);
        EXPECT_EQ(a.text, expected.text);
        EXPECT_EQ(a.finish, expected.finish);
      }
    }
    EXPECT_GT(n_cancelled, 0);
    EXPECT_LT(n_cancelled, n / 2);
  }
}

}  // namespace
}  // namespace nanochat
