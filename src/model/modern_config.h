/// The shape of modern nanochat's GPT, and what follows from it: sizes, parameter and flop counts.
/// Counts only: the model itself is not here yet.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace nanochat {

/// How many trainable numbers a model has, by what they are for. Padding rows count.
struct ParameterCounts {
  int64_t wte = 0;
  int64_t value_embeds = 0;  ///< modern only
  int64_t lm_head = 0;
  int64_t transformer_matrices =
      0;                ///< attention, MLP and, in modern, the gates of value embeddings
  int64_t scalars = 0;  ///< modern only

  [[nodiscard]] int64_t total() const noexcept {
    return wte + value_embeds + lm_head + transformer_matrices + scalars;
  }
  /// What modern's scaling laws count: matrices and lm_head.
  [[nodiscard]] int64_t scaling() const noexcept { return transformer_matrices + lm_head; }
};

/// Modern nanochat. Over classic it has value embeddings with gates on every other layer, sliding
/// windows, a scalar or two per layer, a smear of neighbouring embeddings and a backout.
struct ModernConfig {
  int64_t sequence_len = 2048;
  int64_t vocab_size = 32768;
  int64_t n_layer = 12;
  int64_t n_head = 6;
  int64_t n_kv_head = 6;
  int64_t n_embd = 768;
  std::string window_pattern = "SSSL";  ///< S: short window, L: the whole context; tiled

  static constexpr int64_t kPadVocabTo = 64;
  static constexpr int64_t kVeGateChannels = 12;  ///< inputs of a value embedding's gate
  static constexpr int64_t kSmearChannels = 24;   ///< inputs of the smear's gate

  friend bool operator==(const ModernConfig&, const ModernConfig&) = default;

  /// n_embd = aspect_ratio x depth, rounded up to whole heads of head_dim; n_kv_head = n_head.
  /// Every depth will do. Throws UsageError for what is not positive.
  [[nodiscard]] static ModernConfig from_depth(int64_t depth, int64_t vocab_size,
                                               int64_t sequence_len, int64_t aspect_ratio = 64,
                                               int64_t head_dim = 128,
                                               const std::string& window_pattern = "SSSL");
  /// Throws UsageError that names the field and says what would do.
  void validate() const;

  [[nodiscard]] int64_t head_dim() const noexcept { return n_embd / n_head; }
  [[nodiscard]] int64_t padded_vocab_size() const noexcept {
    return (vocab_size + kPadVocabTo - 1) / kPadVocabTo * kPadVocabTo;
  }
  /// Every other layer, so that the last one has one.
  [[nodiscard]] bool has_value_embedding(int64_t layer) const noexcept {
    return layer % 2 == (n_layer - 1) % 2;
  }
  /// How many tokens back each layer sees (L): L is sequence_len, S a quarter of it rounded up to
  /// a multiple of 128 tokens. The last layer is always L.
  [[nodiscard]] std::vector<int64_t> window_sizes() const;

  [[nodiscard]] ParameterCounts num_params() const noexcept;
  /// Weights that every token is multiplied by: matrices, lm_head and the smear's gate.
  [[nodiscard]] int64_t num_matmul_params() const noexcept;
  /// Forward and backward of one token at full context:
  /// 6 num_matmul_params + sum over layers of 12 H D min(window, T). From the configuration, so
  /// that it does not depend on the dtype (upstream's count leaves out what runs in fp8).
  [[nodiscard]] int64_t flops_per_token() const;

  /// Forward of one token that sees `context` tokens through the cache, itself included.
  [[nodiscard]] int64_t decode_flops(int64_t context) const;
  /// Forward of the first n tokens of a sequence, causal.
  [[nodiscard]] int64_t prefill_flops(int64_t n_tokens) const;
  /// What one token adds to the caches of all layers.
  [[nodiscard]] int64_t kv_bytes_per_token(int64_t bytes_per_number) const noexcept;
  /// What decoding one token at this context reads from them.
  [[nodiscard]] int64_t kv_read_bytes(int64_t context, int64_t bytes_per_number) const;
};

}  // namespace nanochat
