#include "model/modern_config.h"

#include <algorithm>
#include <cctype>

#include "core/error.h"

namespace nanochat {
namespace {

constexpr int64_t kMost = int64_t{1} << 31;

int64_t round_up(int64_t x, int64_t to) { return (x + to - 1) / to * to; }

void require_positive(const char* name, int64_t value) {
  if (value <= 0) throw UsageError("{} is {}, expected a positive number", name, value);
  if (value > kMost) throw UsageError("{} is {}, at most 2^31", name, value);
}

}  // namespace

ModernConfig ModernConfig::from_depth(int64_t depth, int64_t vocab_size, int64_t sequence_len,
                                      int64_t aspect_ratio, int64_t head_dim,
                                      const std::string& window_pattern) {
  require_positive("depth", depth);
  require_positive("aspect ratio", aspect_ratio);
  require_positive("head_dim", head_dim);
  ModernConfig c;
  c.sequence_len = sequence_len;
  c.vocab_size = vocab_size;
  c.n_layer = depth;
  c.n_embd = round_up(aspect_ratio * depth, head_dim);
  c.n_head = c.n_embd / head_dim;
  c.n_kv_head = c.n_head;
  c.window_pattern = window_pattern;
  c.validate();
  return c;
}

void ModernConfig::validate() const {
  require_positive("sequence_len", sequence_len);
  require_positive("vocab_size", vocab_size);
  require_positive("n_layer", n_layer);
  require_positive("n_head", n_head);
  require_positive("n_kv_head", n_kv_head);
  require_positive("n_embd", n_embd);
  if (n_embd % n_head != 0) {
    throw UsageError("n_embd {} does not divide by n_head {}", n_embd, n_head);
  }
  if (n_head % n_kv_head != 0) {
    throw UsageError("n_head {} does not divide by n_kv_head {}", n_head, n_kv_head);
  }
  if (head_dim() % 2 != 0) {
    throw UsageError("the head dimension {} / {} = {} is odd, but rotary positions turn pairs",
                     n_embd, n_head, head_dim());
  }
  if (n_embd < kSmearChannels) {
    throw UsageError("n_embd is {}, at least {} channels are needed", n_embd, kSmearChannels);
  }
  const auto is_window = [](unsigned char c) {
    return std::toupper(c) == 'S' || std::toupper(c) == 'L';
  };
  if (window_pattern.empty() || !std::ranges::all_of(window_pattern, is_window)) {
    throw UsageError("window pattern '{}': expected letters S (short) and L (long), such as SSSL",
                     window_pattern);
  }
}

std::vector<int64_t> ModernConfig::window_sizes() const {
  const int64_t short_window = round_up(round_up(sequence_len, 4) / 4, 128);
  std::vector<int64_t> sizes(static_cast<size_t>(n_layer), sequence_len);
  for (size_t i = 0; i + 1 < sizes.size(); ++i) {
    const auto letter = static_cast<unsigned char>(window_pattern[i % window_pattern.size()]);
    if (std::toupper(letter) == 'S') sizes[i] = short_window;
  }
  return sizes;
}

ParameterCounts ModernConfig::num_params() const noexcept {
  const int64_t C = n_embd, Vp = padded_vocab_size(), kv_dim = n_kv_head * head_dim();
  const int64_t n_ve = (n_layer + 1) / 2;
  return {.wte = Vp * C,
          .value_embeds = n_ve * Vp * kv_dim,
          .lm_head = Vp * C,
          // c_q and c_proj, c_k and c_v, both matrices of the MLP; then the gates
          .transformer_matrices = n_layer * (2 * C * C + 2 * C * kv_dim + 8 * C * C) +
                                  n_ve * n_kv_head * kVeGateChannels,
          // two lambdas a layer, the smear's gate and lambda, the backout's lambda
          .scalars = 2 * n_layer + kSmearChannels + 2};
}

int64_t ModernConfig::num_matmul_params() const noexcept {
  return num_params().scaling() + kSmearChannels;
}

int64_t ModernConfig::flops_per_token() const {
  int64_t attention = 0;
  for (const int64_t window : window_sizes()) {
    attention += 12 * n_embd * std::min(window, sequence_len);
  }
  return 6 * num_matmul_params() + attention;
}

int64_t ModernConfig::decode_flops(int64_t context) const {
  int64_t flops = 2 * num_matmul_params();
  for (const int64_t window : window_sizes()) flops += 4 * n_embd * std::min(context, window);
  return flops;
}

int64_t ModernConfig::prefill_flops(int64_t n_tokens) const {
  int64_t flops = 2 * num_matmul_params() * n_tokens;
  for (const int64_t window : window_sizes()) {
    const int64_t w = std::min(window, n_tokens);
    flops += 4 * n_embd * (w * (w + 1) / 2 + (n_tokens - w) * w);
  }
  return flops;
}

int64_t ModernConfig::kv_bytes_per_token(int64_t bytes_per_number) const noexcept {
  return 2 * n_layer * n_kv_head * head_dim() * bytes_per_number;
}

int64_t ModernConfig::kv_read_bytes(int64_t context, int64_t bytes_per_number) const {
  int64_t bytes = 0;
  for (const int64_t window : window_sizes()) {
    bytes += 2 * n_kv_head * head_dim() * bytes_per_number * std::min(context, window);
  }
  return bytes;
}

}  // namespace nanochat
