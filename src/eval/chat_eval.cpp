#include "eval/chat_eval.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <map>
#include <utility>

#include "core/error.h"
#include "core/parallel.h"
#include "engine/engine.h"
#include "eval/judge.h"
#include "tokenizer/conversation.h"

namespace nanochat {
namespace {

/// Problems that are rendered and scored together.
constexpr int64_t kBlock = 64;

/// The indices of this process's problems.
std::vector<int64_t> share_of(const Task& task, const ChatEvalOptions& options) {
  const int64_t n =
      options.max_problems < 0 ? task.size() : std::min(options.max_problems, task.size());
  std::vector<int64_t> indices;
  for (int64_t i = options.rank; i < n; i += options.world_size) indices.push_back(i);
  return indices;
}

/// Counts, and tells whoever listens.
class Tally {
 public:
  Tally(const Task& task, const ChatEvalOptions& options, int64_t n)
      : options_(options), n_(n), score_{.task = task.name(), .baseline = task.random_baseline()} {}

  void add(const ChatRecord& record) {
    ++score_.total;
    score_.correct += record.correct ? 1 : 0;
    if (options_.on_record) options_.on_record(record);
    if (options_.on_progress) {
      options_.on_progress({.done = score_.total, .total = n_, .correct = score_.correct});
    }
  }
  [[nodiscard]] EvalScore score() {
    score_.seconds = std::chrono::duration<double>(Clock::now() - start_).count();
    return score_;
  }

 private:
  using Clock = std::chrono::steady_clock;
  const ChatEvalOptions& options_;
  int64_t n_;
  EvalScore score_;
  Clock::time_point start_ = Clock::now();
};

// ---- letters -----------------------------------------------------------------------------------

/// The ids of letters; each must be one token.
class LetterIds {
 public:
  LetterIds(const Task& task, const Tokenizer& tokenizer) : task_(task), tokenizer_(tokenizer) {}

  [[nodiscard]] int32_t operator()(const std::string& letter) {
    const auto [found, is_new] = ids_.try_emplace(letter, -1);
    if (is_new) {
      const std::vector<int32_t> ids = tokenizer_.encode(letter);
      if (ids.size() != 1) {
        throw DataError("{}: the answer '{}' is {} tokens of this tokenizer: it must be one",
                        task_.name(), letter, ids.size());
      }
      found->second = ids[0];
    }
    return found->second;
  }

 private:
  const Task& task_;
  const Tokenizer& tokenizer_;
  std::map<std::string, int32_t> ids_;
};

struct Question {
  int64_t index = 0;
  std::vector<int32_t> prompt{};
  std::vector<std::string> letters{};
  std::vector<int32_t> ids{};   // of the letters
  std::vector<float> logits{};  // of the letters, where the answer begins
};

ChatRecord answer_of(const Question& q, const Task& task) {
  ChatRecord record{.index = q.index, .letters = q.letters};
  for (const float x : q.logits) {
    if (!std::isfinite(x)) {
      throw NumericError("{}: the model's logits are not finite: its weights are broken",
                         task.name());
    }
  }
  const auto best = std::ranges::max_element(q.logits);  // the first of equals
  double sum = 0;
  for (const float x : q.logits) sum += std::exp(static_cast<double>(x - *best));
  for (const float x : q.logits) {
    record.probabilities.push_back(std::exp(static_cast<double>(x - *best)) / sum);
  }
  record.answers.push_back(q.letters[static_cast<size_t>(best - q.logits.begin())]);
  record.correct = task.evaluate(q.index, record.answers[0]);
  record.verdicts.push_back(record.correct);
  return record;
}

EvalScore evaluate_letters(Gpt& model, const Tokenizer& tokenizer, const Task& task,
                           const ChatEvalOptions& options) {
  const std::vector<int64_t> indices = share_of(task, options);
  const int64_t max_tokens = std::min(kDefaultMaxTokens, model.config().max_positions() - 1);
  SequenceScorer scorer(model, {.slots = options.batch_size, .on_step = options.on_step});
  LetterIds letter_ids(task, tokenizer);
  Tally tally(task, options, std::ssize(indices));
  for (size_t begin = 0; begin < indices.size(); begin += kBlock) {
    std::vector<Question> questions;
    std::vector<ScoreRequest> requests;
    for (size_t i = begin; i < std::min(begin + kBlock, indices.size()); ++i) {
      TaskExample example = task.example(indices[i]);
      if (example.letters.empty()) {
        throw DataError("{}: problem {} has no letters to answer", task.name(), indices[i]);
      }
      Question& q = questions.emplace_back(Question{.index = indices[i]});
      q.prompt = render_for_completion(tokenizer, example.conversation, max_tokens);
      q.letters = std::move(example.letters);
      for (const std::string& letter : q.letters) q.ids.push_back(letter_ids(letter));
      q.logits.resize(q.ids.size());
    }
    for (const Question& q : questions) {  // the first token of the answer comes after the last
      const int64_t n = std::ssize(q.prompt);
      requests.push_back({.tokens = q.prompt, .first = n - 1, .end = n});
    }
    scorer.run(requests, [&](size_t request, int64_t, std::span<const float> logits) {
      Question& q = questions[request];
      for (size_t k = 0; k < q.ids.size(); ++k) {
        q.logits[k] = logits[static_cast<size_t>(q.ids[k])];
      }
    });
    for (const Question& q : questions) tally.add(answer_of(q, task));
  }
  return tally.score();
}

// ---- written answers ---------------------------------------------------------------------------

class WrittenExam {
 public:
  WrittenExam(Gpt& model, const Tokenizer& tokenizer, const Task& task,
              const ChatEvalOptions& options)
      : model_(model),
        tokenizer_(tokenizer),
        task_(task),
        options_(options),
        indices_(share_of(task, options)),
        num_samples_(options.sampling.temperature > 0 ? options.num_samples : 1),
        tally_(task, options, std::ssize(indices_)) {}

  EvalScore run();

 private:
  struct Problem {
    std::vector<int32_t> prompt{};
    ChatRecord record{};
    int64_t open = 0;  // samples that are not judged yet
  };
  void render_prompts();
  void submit(Engine& engine, Judge& judge, size_t place, int64_t sample);
  void take_verdicts(Judge& judge, bool wait);

  Gpt& model_;
  const Tokenizer& tokenizer_;
  const Task& task_;
  const ChatEvalOptions& options_;
  const std::vector<int64_t> indices_;
  const int64_t num_samples_;
  Tally tally_;
  std::vector<Problem> problems_;  // of indices_
  int64_t context_ = 0;
  int64_t in_flight_ = 0;  // samples that are being written or judged
  size_t told_ = 0;        // problems that the tally has
};

/// All of them, since the longest decides how large the cache is to be.
void WrittenExam::render_prompts() {
  const int64_t positions = model_.config().max_positions();
  const int64_t max_tokens = std::min(kDefaultMaxTokens, positions - options_.max_new_tokens - 1);
  if (max_tokens < 1) {
    throw UsageError("{} new tokens leave no room for a question: this model knows {} positions",
                     options_.max_new_tokens, positions);
  }
  for (const int64_t index : indices_) {
    Problem& p = problems_.emplace_back();
    p.prompt = render_for_completion(tokenizer_, task_.example(index).conversation, max_tokens);
    p.record.index = index;
    p.record.answers.resize(static_cast<size_t>(num_samples_));
    p.record.verdicts.resize(static_cast<size_t>(num_samples_));
    p.open = num_samples_;
    context_ = std::max(context_, std::ssize(p.prompt) + options_.max_new_tokens);
  }
}

void WrittenExam::submit(Engine& engine, Judge& judge, size_t place, int64_t sample) {
  ++in_flight_;
  const ChatTokens special(tokenizer_);
  const auto number = static_cast<uint32_t>(indices_[place] * num_samples_ + sample);
  engine.submit({.prompt = problems_[place].prompt,
                 .max_tokens = options_.max_new_tokens,
                 .sampling = options_.sampling,
                 .seed = options_.seed,
                 .sample = number,
                 .stop_ids = {special.assistant_end, special.bos},
                 .use_tool = static_cast<bool>(options_.tool)},
                [this, &judge, place, sample,
                 ids = std::vector<int32_t>()](const GenerationEvent& event) mutable {
                  if (event.id >= 0) ids.push_back(event.id);
                  if (!event.finish) return;
                  problems_[place].record.reason = name_of(*event.finish);
                  judge.submit({.place = place,
                                .sample = static_cast<size_t>(sample),
                                .index = indices_[place],
                                .text = tokenizer_.decode(ids)});
                });
}

void WrittenExam::take_verdicts(Judge& judge, bool wait) {
  for (Judge::Answer& answer : judge.take_judged(wait)) {
    --in_flight_;
    Problem& p = problems_[answer.place];
    p.record.verdicts[answer.sample] = answer.correct;
    p.record.answers[answer.sample] = std::move(answer.text);
    p.record.correct = p.record.correct || answer.correct;
    --p.open;
  }
  for (; told_ < problems_.size() && problems_[told_].open == 0; ++told_) {
    tally_.add(problems_[told_].record);
    problems_[told_] = {};
  }
}

EvalScore WrittenExam::run() {
  render_prompts();
  if (problems_.empty()) return tally_.score();
  const int64_t total = std::ssize(problems_) * num_samples_;
  Engine engine(model_, &tokenizer_,
                {.slots = std::min(options_.batch_size, total),
                 .context = context_,
                 .tool = options_.tool,
                 .tool_is_slow = options_.tool_is_slow});
  Judge judge(task_, std::clamp(num_threads() / 2, 1, 8));
  for (int64_t next = 0; told_ < problems_.size();) {
    // Enough for every slot that becomes free; the samples of a problem share its prompt.
    for (; next < total && in_flight_ < 2 * options_.batch_size; ++next) {
      submit(engine, judge, static_cast<size_t>(next / num_samples_), next % num_samples_);
    }
    const bool busy = engine.step();
    if (options_.on_step) options_.on_step();
    take_verdicts(judge, !busy && in_flight_ > 0);
  }
  return tally_.score();
}

}  // namespace

EvalScore evaluate_chat_task(Gpt& model, const Tokenizer& tokenizer, const Task& task,
                             const ChatEvalOptions& options) {
  NC_CHECK(0 <= options.rank && options.rank < options.world_size);
  if (options.batch_size < 1 || options.num_samples < 1 || options.max_new_tokens < 1) {
    throw UsageError("batch size, samples and new tokens must be 1 or more");
  }
  switch (task.eval_type()) {
    case EvalType::kCategorical:
      return evaluate_letters(model, tokenizer, task, options);
    case EvalType::kGenerative:
      options.sampling.validate();
      return WrittenExam(model, tokenizer, task, options).run();
    case EvalType::kNone:
      break;
  }
  throw UsageError("{} is for training: nobody judges its answers", task.name());
}

std::optional<std::vector<EvalScore>> scores_of(std::span<const EvalScore> scores,
                                                std::span<const std::string_view> tasks) {
  std::vector<EvalScore> found;
  for (const std::string_view task : tasks) {
    const auto score = std::ranges::find(scores, task, &EvalScore::task);
    if (score == scores.end() || score->total == 0) return {};
    found.push_back(*score);
  }
  return found;
}

}  // namespace nanochat
