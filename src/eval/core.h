/// The CORE metric: how well a base model does on 22 tasks that need no chat, as the mean of their
/// accuracies with chance at 0 (eval/core_tasks.h has the tasks, eval/core_prompts.h the texts).
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "eval/core_tasks.h"
#include "eval/score.h"
#include "eval/sequence_scorer.h"
#include "tokenizer/tokenizer.h"

namespace nanochat {

/// What became of one example.
struct CoreRecord {
  const CoreTask* task = nullptr;
  int64_t index = 0;    ///< in the shuffled list
  std::string place{};  ///< file and line
  bool correct = false;
  int64_t gold = 0, predicted = 0;  ///< options; of language modelling none
  std::vector<double> losses{};     ///< of each option, the mean over the tokens that count
  std::vector<int32_t> expected{}, answer{};  ///< of language modelling, the tokens that count
  int64_t cropped = 0;                        ///< tokens left out at the front, of all its texts
};

struct CoreProgress {
  const CoreTask* task = nullptr;
  int64_t done = 0, total = 0;  ///< examples of this process's share
  int64_t correct = 0;
};

struct CoreOptions {
  int64_t max_per_task = -1;  ///< examples; they are also all that few-shot examples come from
  /// This process does examples rank, rank + world_size, ... of each task.
  int64_t rank = 0, world_size = 1;
  /// Longer texts lose their front. None: the positions that the model knows.
  std::optional<int64_t> max_tokens{};
  int64_t block_examples = 32;  ///< read, tokenized and scored together
  ScorerOptions scoring{};
  // What these throw ends the evaluation.
  std::function<void(const CoreTask&, int64_t)> on_start{};  ///< with the examples of its share
  std::function<void(const CoreProgress&)> on_progress{};    ///< after every block
  std::function<void(const CoreRecord&)> on_record{};        ///< in the order of the examples
  std::function<void(const EvalScore&)> on_task{};           ///< when a task is done
};

struct CoreResult {
  std::vector<EvalScore> tasks;      ///< in the order given
  std::vector<std::string> missing;  ///< labels of tasks whose file is not there: they do not count
  int64_t cropped_examples = 0;      ///< some text of theirs was too long
  ScorerStats stats;
  /// CORE, of the tasks that are there.
  [[nodiscard]] std::optional<double> metric() const noexcept { return mean_centered(tasks); }
};

/// This process's share of one task. Throws NumericError when the model's numbers are not finite,
/// DataError naming file and line.
[[nodiscard]] EvalScore evaluate_core_task(SequenceScorer& scorer, const Tokenizer& tokenizer,
                                           const CoreTask& task,
                                           std::span<const CoreExample> examples,
                                           const CoreOptions& options);

/// All of `tasks`. Any model will do; one with packed weights gives the same to the bit whatever
/// the options for scoring. Throws as evaluate_core_task and read_core_examples, but for files
/// that are not there.
[[nodiscard]] CoreResult evaluate_core(Gpt& model, const Tokenizer& tokenizer,
                                       std::span<const CoreTask> tasks,
                                       const CoreOptions& options = {});

/// Upstream's table: a line for each task, then CORE.
[[nodiscard]] std::string core_csv(const CoreResult& result);

}  // namespace nanochat
