/// Answers of a chat model while it is trained: what reinforcement learning learns from, and what
/// is shown of it.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "model/gpt.h"
#include "tokenizer/tokenizer.h"

namespace nanochat {

/// A trained model's weights for inference: on a CPU packed (GptOptions::packed), in bf16 where it
/// computes in it, else in f32; on a GPU as it computes with them.
class InferenceCopy {
 public:
  /// `model` outlives the copy.
  explicit InferenceCopy(const Gpt& model);
  /// Takes over the weights of now; after every change of them.
  Gpt& refresh();
  [[nodiscard]] Gpt& model() noexcept { return copy_; }

 private:
  const Gpt& from_;
  Gpt copy_;
};

struct RolloutOptions {
  int64_t num_samples = 1;  ///< of each prompt
  int64_t max_new_tokens = 256;
  SamplingOptions sampling{};
  int64_t slots = 0;  ///< answers written at a time; 0: all
  Tool tool{};        ///< empty: the model has none
  /// Asked now and then; true: stop there, and give back what there is.
  std::function<bool()> stop{};
};

/// An answer, token by token.
struct Rollout {
  /// With the stop token that ended it, <|assistant_end|> or <|bos|>, as the last.
  std::vector<int32_t> ids;
  std::vector<uint8_t> sampled;  ///< 0: a tool put it there
  bool has_stop = false;         ///< there is a stop token
  /// The answer without it, special tokens by their names: what a task judges.
  [[nodiscard]] std::string text(const Tokenizer& tokenizer) const;
};

/// num_samples answers of every prompt, all in one batch of the engine; prompt i's are at
/// i * num_samples and following. seeds[i]: of prompt i; what an answer is depends on its prompt,
/// its seed, its number and the model alone. Throws UsageError for a prompt that with
/// max_new_tokens is longer than the model's positions.
[[nodiscard]] std::vector<Rollout> roll_out(Gpt& model, const Tokenizer& tokenizer,
                                            std::span<const std::vector<int32_t>> prompts,
                                            std::span<const uint64_t> seeds,
                                            const RolloutOptions& options);

/// Most likely answers to questions, with the calculator at hand: samples to show.
[[nodiscard]] std::vector<std::string> answer(Gpt& model, const Tokenizer& tokenizer,
                                              std::span<const std::string> questions,
                                              int64_t max_new_tokens);

}  // namespace nanochat
