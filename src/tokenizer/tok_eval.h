/// How well a tokenizer compresses: tokens for texts of several kinds, and how that compares with
/// another tokenizer. Upstream's tok_eval.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/tokenizer.h"

namespace nanochat {

struct EvalText {
  std::string name;
  std::string text;
};

/// A page each of news, Chinese, Korean, code, mathematics (LaTeX) and science, written for this
/// purpose. Append a sample of the train and validation data to see the tokenizer at home.
[[nodiscard]] std::vector<EvalText> built_in_eval_texts();

/// What one tokenizer makes of one text.
struct EvalRow {
  std::string name;
  int64_t bytes = 0;
  int64_t characters = 0;  ///< code points
  int64_t tokens = 0;
  /// To encode it once, on one thread: the best of several times. A page that is encoded again and
  /// again stays in the processor's caches, so believe the speed of texts of several megabytes.
  double seconds = 0;

  // Zero for an empty text.
  [[nodiscard]] double bytes_per_token() const noexcept;
  [[nodiscard]] double characters_per_token() const noexcept;
  [[nodiscard]] double tokens_per_second() const noexcept;
};

/// Encodes each text again and again for at least `seconds_per_text`, at least once, and checks
/// that decoding gives it back.
[[nodiscard]] std::vector<EvalRow> evaluate(const Tokenizer& tokenizer,
                                            std::span<const EvalText> texts,
                                            double seconds_per_text = 0.05);

/// The results of one tokenizer under the name that tables call it by.
struct EvalResult {
  std::string name;  ///< "Ours", "GPT-2", a file's name
  int32_t vocab_size = 0;
  std::vector<EvalRow> rows;
};

/// 100 (b - o) / b for b tokens of the baseline and o of ours: positive is fewer tokens.
[[nodiscard]] double relative_difference_percent(const EvalRow& baseline, const EvalRow& ours);

/// One line per text: bytes, characters, tokens, bytes and characters per token, tokens per second.
[[nodiscard]] std::string eval_table(const EvalResult& result);

/// Upstream's comparison: tokens and bytes per token of both, the relative difference, and who is
/// better. Both must be of the same texts. `colored`: the better one green, the other red (ANSI).
[[nodiscard]] std::string comparison_table(const EvalResult& baseline, const EvalResult& ours,
                                           bool colored = false);

}  // namespace nanochat
