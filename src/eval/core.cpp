#include "eval/core.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "core/error.h"
#include "engine/sampler.h"
#include "eval/core_prompts.h"

namespace nanochat {
namespace {

using Clock = std::chrono::steady_clock;

/// The model's word on one token that counts.
struct TokenVerdict {
  float logprob = 0;  // of the token that is there
  int32_t likeliest = 0;
};

/// One example: its texts, and then what the model makes of them.
struct Item {
  int64_t index = 0;
  std::vector<CoreSequence> sequences{};
  std::vector<std::vector<TokenVerdict>> verdicts{};  // of each sequence's counting tokens
};

/// Tokenizes the texts of all examples of a block side by side.
std::vector<Item> make_items(const Tokenizer& tokenizer, const CoreTask& task,
                             std::span<const CoreExample> examples,
                             std::span<const int64_t> indices, int64_t max_tokens) {
  std::vector<std::string> texts;
  std::vector<size_t> ends;
  for (const int64_t index : indices) {
    const auto fewshot = pick_fewshot(index, std::ssize(examples), task.num_fewshot);
    for (std::string& text : render_core_prompts(task, examples, index, fewshot)) {
      texts.push_back(std::move(text));
    }
    ends.push_back(texts.size());
  }
  const std::vector<std::string_view> views(texts.begin(), texts.end());
  auto tokens = tokenizer.encode_batch(views, tokenizer.bos_id());
  std::vector<Item> items;
  auto begin = tokens.begin();
  for (size_t i = 0; i < indices.size(); ++i) {
    const auto end = tokens.begin() + static_cast<std::ptrdiff_t>(ends[i]);
    items.push_back({.index = indices[i]});
    try {
      items.back().sequences = core_sequences(
          task.format, {std::make_move_iterator(begin), std::make_move_iterator(end)}, max_tokens);
    } catch (const DataError& e) {
      throw DataError("{}: {}", examples[static_cast<size_t>(indices[i])].place, e.what());
    }
    begin = end;
  }
  return items;
}

/// Asks the model for the tokens that count, of all items at once.
void score(SequenceScorer& scorer, std::vector<Item>& items) {
  std::vector<ScoreRequest> requests;
  struct Place {
    const CoreSequence* sequence;
    std::vector<TokenVerdict>* verdicts;
  };
  std::vector<Place> places;
  for (Item& item : items) {
    item.verdicts.resize(item.sequences.size());
    for (size_t k = 0; k < item.sequences.size(); ++k) {
      const CoreSequence& s = item.sequences[k];
      item.verdicts[k].resize(static_cast<size_t>(s.end - s.begin));
      // A token is predicted at the position before it.
      requests.push_back({.tokens = s.tokens, .first = s.begin - 1, .end = s.end - 1});
      places.push_back({&s, &item.verdicts[k]});
    }
  }
  scorer.run(requests, [&](size_t request, int64_t position, std::span<const float> logits) {
    const auto& [sequence, verdicts] = places[request];
    const int32_t target = sequence->tokens[static_cast<size_t>(position + 1)];
    const auto likeliest = std::ranges::max_element(logits) - logits.begin();
    (*verdicts)[static_cast<size_t>(position + 1 - sequence->begin)] = {
        .logprob = logprob_of(logits, target), .likeliest = static_cast<int32_t>(likeliest)};
  });
}

/// The mean loss of the tokens that count; not a number when there are none.
double mean_loss(std::span<const TokenVerdict> verdicts, std::string_view label) {
  double sum = 0;
  for (const TokenVerdict& v : verdicts) sum -= static_cast<double>(v.logprob);
  if (!std::isfinite(sum)) {
    throw NumericError("{}: the model's logits are not finite: its weights are broken", label);
  }
  return sum / static_cast<double>(verdicts.size());
}

CoreRecord judge(const Item& item, const CoreTask& task, const CoreExample& example) {
  CoreRecord record{
      .task = &task, .index = item.index, .place = example.place, .gold = example.gold};
  for (const CoreSequence& s : item.sequences) record.cropped += s.cropped;
  for (const auto& verdicts : item.verdicts) {
    record.losses.push_back(mean_loss(verdicts, task.label));
  }
  if (task.format != CoreFormat::kLanguageModeling) {
    // As Python's min(): the first of equals. An option that adds no token has no loss; it wins in
    // first place, and nowhere else.
    record.predicted = std::ranges::min_element(record.losses) - record.losses.begin();
    record.correct = record.predicted == record.gold;
    return record;
  }
  const CoreSequence& s = item.sequences[0];
  record.expected.assign(s.tokens.begin() + s.begin, s.tokens.begin() + s.end);
  for (const TokenVerdict& v : item.verdicts[0]) record.answer.push_back(v.likeliest);
  record.correct = record.answer == record.expected;
  return record;
}

}  // namespace

EvalScore evaluate_core_task(SequenceScorer& scorer, const Tokenizer& tokenizer,
                             const CoreTask& task, std::span<const CoreExample> examples,
                             const CoreOptions& options) {
  NC_CHECK(0 <= options.rank && options.rank < options.world_size && options.block_examples > 0);
  const auto start = Clock::now();
  const int64_t max_tokens =
      std::min(options.max_tokens.value_or(INT64_MAX), scorer.model().config().max_positions());
  std::vector<int64_t> indices;
  for (int64_t i = options.rank; i < std::ssize(examples); i += options.world_size) {
    indices.push_back(i);
  }
  EvalScore result{.task = task.label, .baseline = task.baseline};
  if (options.on_start) options.on_start(task, std::ssize(indices));
  while (result.total < std::ssize(indices)) {
    const int64_t n = std::min(options.block_examples, std::ssize(indices) - result.total);
    std::vector<Item> items = make_items(
        tokenizer, task, examples,
        std::span(indices).subspan(static_cast<size_t>(result.total), static_cast<size_t>(n)),
        max_tokens);
    score(scorer, items);
    for (const Item& item : items) {
      const CoreRecord record = judge(item, task, examples[static_cast<size_t>(item.index)]);
      result.correct += record.correct ? 1 : 0;
      if (options.on_record) options.on_record(record);
    }
    result.total += n;
    if (options.on_progress) {
      options.on_progress({.task = &task,
                           .done = result.total,
                           .total = std::ssize(indices),
                           .correct = result.correct});
    }
  }
  result.seconds = std::chrono::duration<double>(Clock::now() - start).count();
  return result;
}

CoreResult evaluate_core(Gpt& model, const Tokenizer& tokenizer, std::span<const CoreTask> tasks,
                         const CoreOptions& options) {
  CoreResult result;
  CoreOptions o = options;
  o.on_record = [&](const CoreRecord& record) {
    result.cropped_examples += record.cropped > 0 ? 1 : 0;
    if (options.on_record) options.on_record(record);
  };
  SequenceScorer scorer(model, options.scoring);
  for (const CoreTask& task : tasks) {
    std::vector<CoreExample> examples;
    try {
      examples = read_core_examples(task, options.max_per_task);
    } catch (const NotFoundError&) {
      result.missing.push_back(task.label);
      continue;
    }
    result.tasks.push_back(evaluate_core_task(scorer, tokenizer, task, examples, o));
    if (options.on_task) options.on_task(result.tasks.back());
  }
  result.stats = scorer.stats();
  return result;
}

std::string core_csv(const CoreResult& result) {
  const auto number = [](std::optional<double> x) { return x ? fmt::format("{:.6f}", *x) : ""; };
  std::string csv = fmt::format("{:<35}, {:<10}, {:<10}\n", "Task", "Accuracy", "Centered");
  for (const EvalScore& score : result.tasks) {
    csv += fmt::format("{:<35}, {:<10}, {:<10}\n", score.task, number(score.accuracy()),
                       number(score.centered()));
  }
  return csv + fmt::format("{:<35}, {:<10}, {:<10}\n", "CORE", "", number(result.metric()));
}

}  // namespace nanochat
