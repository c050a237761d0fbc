/// How much faster multiple-choice questions are scored when what their texts have in common is
/// computed once. The questions are random tokens: examples, a question, some choices.
///
///   eval_sharing                  each question has examples of its own before it, as in CORE
///   eval_sharing --same-examples  all questions have the same
///
/// "each alone" is the same scorer without sharing; "forward pass" is the model as training runs
/// it, the choices of a question in one pass without a cache, all rows through the head: what
/// upstream does.
#include <atomic>
#include <chrono>
#include <cmath>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "core/error.h"
#include "core/rng.h"
#include "eval/sequence_scorer.h"
#include "model/weights.h"

namespace nanochat::bench {
namespace {

using Clock = std::chrono::steady_clock;

struct Options {
  int64_t depth = 4, vocab_size = 8192;
  int64_t questions = 50, choices = 4;
  int64_t example_tokens = 500, question_tokens = 50, choice_tokens = 12;
  bool same_examples = false;
};

struct Questions {
  std::vector<std::vector<int32_t>> texts;  // of all choices, question after question
  int64_t first = 0;                        // position that predicts the choice's first token
  [[nodiscard]] int64_t length() const { return std::ssize(texts[0]); }
};

Questions make_questions(const Options& o) {
  const RandomStream random(1, RandomPurpose::kTest, 0, 0);
  int64_t drawn = 0;
  const auto append = [&](std::vector<int32_t>& ids, int64_t n) {
    for (int64_t i = 0; i < n; ++i) {
      ids.push_back(
          static_cast<int32_t>(random.uniform(drawn++) * static_cast<float>(o.vocab_size - 1)));
    }
  };
  std::vector<int32_t> same;
  append(same, o.example_tokens);
  Questions questions{.texts = {}, .first = o.example_tokens + o.question_tokens - 1};
  for (int64_t q = 0; q < o.questions; ++q) {
    std::vector<int32_t> question;
    if (o.same_examples) question = same;
    if (!o.same_examples) append(question, o.example_tokens);
    append(question, o.question_tokens);
    for (int64_t c = 0; c < o.choices; ++c) {
      append(questions.texts.emplace_back(question), o.choice_tokens);
    }
  }
  return questions;
}

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

struct Run {
  double seconds = 0;
  ScorerStats stats;
  std::vector<float> logits;  // one of each row that was asked for
};

Run score(Gpt& model, const Questions& questions, bool reuse) {
  SequenceScorer scorer(model, {.reuse_prefixes = reuse});
  std::vector<ScoreRequest> requests;
  for (const auto& text : questions.texts) {
    requests.push_back({.tokens = text, .first = questions.first, .end = questions.length() - 1});
  }
  const int64_t rows = questions.length() - 1 - questions.first;
  Run run;
  run.logits.resize(requests.size() * static_cast<size_t>(rows));
  const auto start = Clock::now();
  scorer.run(requests, [&](size_t i, int64_t position, std::span<const float> logits) {
    const int64_t target = questions.texts[i][static_cast<size_t>(position + 1)];
    run.logits[i * static_cast<size_t>(rows) + static_cast<size_t>(position - questions.first)] =
        logits[static_cast<size_t>(target)];
  });
  run.seconds = seconds_since(start);
  run.stats = scorer.stats();
  return run;
}

/// The choices of a question at a time.
double forward_seconds(Gpt& model, const Questions& questions, int64_t choices) {
  Arena arena;
  Tape tape(model.backend(), arena);
  const int64_t T = questions.length();
  const TokenRuns runs = TokenRuns::uniform(choices, T);
  const auto start = Clock::now();
  for (size_t q = 0; q < questions.texts.size(); q += static_cast<size_t>(choices)) {
    std::vector<int32_t> ids;
    for (size_t c = 0; c < static_cast<size_t>(choices); ++c) {
      ids.insert(ids.end(), questions.texts[q + c].begin(), questions.texts[q + c].end());
    }
    const Tensor tensor = tensor_of(std::span<const int32_t>(ids), {choices * T});
    static_cast<void>(model.logits(tape, model.forward(tape, tensor, runs).value));
    model.backend().synchronize();
  }
  return seconds_since(start);
}

void measure(const Options& o) {
  const Questions questions = make_questions(o);
  const GptConfig config = GptConfig::from_depth(o.depth, o.vocab_size, questions.length());
  Backend& backend = cpu_backend();
  Gpt plain(config, backend, {.dtype = backend.preferred_dtype(), .trainable = true});
  plain.init_weights(1);
  for (Parameter& p : plain.parameters()) {  // zero at first, which would make all logits equal
    if (p.kind == ParameterKind::kUnembedding) {
      fill_normal(p.value, RandomStream(2, RandomPurpose::kTest, 0, 0), 0, 0.02F);
    }
  }
  plain.refresh_compute_weights();
  Gpt packed(
      config, backend,
      {.dtype = backend.preferred_dtype(), .trainable = false, .packed = WeightFormat::kBf16});
  pack_weights(plain, packed);

  fmt::print(
      "{} questions of {} choices, {} tokens each: {} examples' ({}), {} the question's, {} "
      "the choice's; depth {}\n\n{:<14} {:>9} {:>13} {:>14} {:>9}\n",
      o.questions, o.choices, questions.length(), o.example_tokens,
      o.same_examples ? "the same for all" : "its own", o.question_tokens, o.choice_tokens, o.depth,
      "", "seconds", "questions/s", "tokens run", "speed-up");
  const auto show = [&](const char* name, double seconds, int64_t tokens, double against) {
    fmt::print("{:<14} {:>9.2f} {:>13.1f} {:>14} {:>8.2f}x\n", name, seconds,
               static_cast<double>(o.questions) / seconds, tokens, against / seconds);
  };
  const Run alone = score(packed, questions, false);
  const Run shared = score(packed, questions, true);
  const double forward = forward_seconds(plain, questions, o.choices);
  show("shared", shared.seconds, shared.stats.computed, alone.seconds);
  show("each alone", alone.seconds, alone.stats.computed, alone.seconds);
  show("forward pass", forward, alone.stats.tokens + std::ssize(questions.texts), alone.seconds);
  fmt::print("\nshared / each alone: {:.2f}x; shared / forward pass: {:.2f}x; scores {}\n",
             alone.seconds / shared.seconds, forward / shared.seconds,
             alone.logits == shared.logits ? "the same to the bit" : "DIFFER");
  if (alone.logits != shared.logits) throw NumericError("the scores differ");
}

}  // namespace
}  // namespace nanochat::bench

int main(int argc, char** argv) {
  nanochat::bench::Options o;
  CLI::App app("multiple-choice questions with and without sharing of what they have in common");
  app.add_option("--depth", o.depth, "layers of the model")->capture_default_str();
  app.add_option("--vocab-size", o.vocab_size)->capture_default_str();
  app.add_option("--questions", o.questions)->capture_default_str();
  app.add_option("--choices", o.choices)->capture_default_str();
  app.add_option("--example-tokens", o.example_tokens)->capture_default_str();
  app.add_option("--question-tokens", o.question_tokens)->capture_default_str();
  app.add_option("--choice-tokens", o.choice_tokens)->capture_default_str();
  app.add_flag("--same-examples", o.same_examples, "all questions have the same examples");
  CLI11_PARSE(app, argc, argv);
  nanochat::bench::measure(o);
  return 0;
}
