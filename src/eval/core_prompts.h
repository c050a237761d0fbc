/// From an example of a CORE task to the tokens that a model is given, and which of them count.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "eval/core_tasks.h"

namespace nanochat {

/// The examples that come before number `index` of `n`, in order: upstream's choice, from Python's
/// random.Random(1234 + index). Throws DataError when there are not so many others.
[[nodiscard]] std::vector<int64_t> pick_fewshot(int64_t index, int64_t n, int64_t num_fewshot);

/// The texts to score of examples[index], after those of `fewshot`, each of which ends with an
/// empty line. One for each option; of language modelling two: without the continuation and with
/// it.
[[nodiscard]] std::vector<std::string> render_core_prompts(const CoreTask& task,
                                                           std::span<const CoreExample> examples,
                                                           int64_t index,
                                                           std::span<const int64_t> fewshot);

/// A text as tokens, of which [begin, end) count: the model is asked for each of these after those
/// before it. begin >= 1.
struct CoreSequence {
  std::vector<int32_t> tokens;
  int64_t begin = 0, end = 0;
  int64_t cropped = 0;  ///< tokens left out at the front
};

/// What counts in the tokens of render_core_prompts (each with a leading <|bos|>): of multiple
/// choice, what follows the common beginning; of a schema, the common end; of language modelling
/// (one sequence, the text with the continuation), what follows the text without it.
///
/// There, where the two texts part before the first ends (the tokenizer has joined a character of
/// each), all from that place on counts; upstream stops with an error instead.
/// Sequences longer than max_tokens lose their front; what counts may lose some of its own.
/// Throws DataError when nothing counts in language modelling. max_tokens >= 1.
[[nodiscard]] std::vector<CoreSequence> core_sequences(CoreFormat format,
                                                       std::vector<std::vector<int32_t>> tokens,
                                                       int64_t max_tokens);

/// Python's str.strip().
[[nodiscard]] std::string_view python_strip(std::string_view text);

}  // namespace nanochat
