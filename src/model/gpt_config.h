/// The shape of a GPT, and what follows from it: sizes, parameter and flop counts.
#pragma once

#include <cstdint>
#include <string>

namespace nanochat {

/// Classic nanochat. The fields above the line are upstream's model_config; those below it are
/// constants in upstream's code that change results silently when they differ, so we save them too.
struct GptConfig {
  int64_t sequence_len = 1024;  ///< training context; rotary tables reach 10 times further
  int64_t vocab_size = 50304;
  int64_t n_layer = 12;
  int64_t n_head = 6;
  int64_t n_kv_head = 6;
  int64_t n_embd = 768;
  // ------------------------------------------------------------------------------------------
  int64_t pad_vocab_to = 64;  ///< wte and lm_head get a multiple of this many rows; 1: no padding
  float rope_base = 10000;
  float softcap = 15;
  float rms_norm_eps = 1.1920929e-7F;  ///< 2^-23, the f32 epsilon, in every precision
  float qk_gain = 1;                   ///< q and k after their norm are multiplied by this
  int64_t window = -1;                 ///< attention reaches this many tokens back; < 0: all

  friend bool operator==(const GptConfig&, const GptConfig&) = default;

  /// The one dial: n_embd = 64 depth, heads of about 128, n_kv_head = n_head.
  [[nodiscard]] static GptConfig from_depth(int64_t depth, int64_t vocab_size,
                                            int64_t sequence_len);
  /// Throws UsageError that names the field and says what would do.
  void validate() const;

  [[nodiscard]] int64_t head_dim() const noexcept { return n_embd / n_head; }
  [[nodiscard]] int64_t padded_vocab_size() const noexcept {
    return (vocab_size + pad_vocab_to - 1) / pad_vocab_to * pad_vocab_to;
  }
  /// Positions the rotary tables hold.
  [[nodiscard]] int64_t max_positions() const noexcept { return 10 * sequence_len; }

  /// Trainable numbers, padding included: 2 Vp d + L (2 d H D + 2 d Hkv D + 8 d^2).
  [[nodiscard]] int64_t num_params() const noexcept;
  /// Upstream's estimate for forward and backward of one token at full context, the embedding
  /// left out: 6 (params - Vp d) + 12 L H D T. Attention is counted as if it were not causal.
  [[nodiscard]] int64_t flops_per_token() const noexcept;

  /// As one JSON object, and back. parse() throws DataError naming the field; fields that upstream
  /// does not write may be absent, fields that nobody knows are refused.
  [[nodiscard]] std::string to_json() const;
  [[nodiscard]] static GptConfig parse_json(const std::string& text, const std::string& where);
};

}  // namespace nanochat
