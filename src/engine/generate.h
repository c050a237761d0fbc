/// Continues prompts with a model and gives back the tokens, for whoever needs no stream: the
/// engine from beginning to end.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "engine/sampler.h"
#include "model/gpt.h"

namespace nanochat {

struct GenerateOptions {
  int64_t max_new_tokens = 16;
  SamplingOptions sampling = {.temperature = 0};
  uint64_t seed = 42;
  std::vector<int32_t> stop_ids{};  ///< these end a row and are not part of it
  int64_t slots = 16;               ///< rows that run at a time
};

/// The new tokens of each prompt. `on_token(row, id)`, when given, hears of each as it is made.
/// A row's tokens depend on its prompt, its number and the options, not on the other rows (to the
/// bit as engine/engine.h says).
/// Throws UsageError for a prompt without tokens, or one that with max_new_tokens reaches beyond
/// the positions that the model knows (GptConfig::max_positions).
[[nodiscard]] std::vector<std::vector<int32_t>> generate(
    Gpt& model, std::span<const std::vector<int32_t>> prompts, const GenerateOptions& options,
    const std::function<void(size_t, int32_t)>& on_token = {});

}  // namespace nanochat
