#include "train/memory_plan.h"

#include <algorithm>

#include "autograd/functions.h"
#include "optim/newton_schulz.h"

namespace nanochat {
namespace {

constexpr int64_t kMebi = int64_t{1} << 20;

/// Bytes of Newton-Schulz's scratch for n matrices [R, C] in bf16: X and its successor, A and B.
int64_t newton_schulz_bytes(int64_t n, int64_t R, int64_t C) {
  const NewtonSchulzConfig config;
  const int64_t m = std::min(R, C);
  const int64_t one = size_of(config.dtype) * (2 * R * C + 2 * m * m);
  const int64_t batch = std::max<int64_t>(1, config.scratch_limit_bytes / one);
  return std::min(n, batch) * one;
}

/// The batches of matrices of one shape that Muon makes.
int64_t muon_scratch_bytes(const GptConfig& c) {
  const int64_t C = c.n_embd, kv_dim = c.n_kv_head * c.head_dim(), L = c.n_layer;
  int64_t bytes = newton_schulz_bytes(L, 4 * C, C);
  if (kv_dim == C) return std::max(bytes, newton_schulz_bytes(4 * L, C, C));
  bytes = std::max(bytes, newton_schulz_bytes(2 * L, C, C));
  return std::max(bytes, newton_schulz_bytes(2 * L, kv_dim, C));
}

struct Numbers {
  int64_t embeddings = 0;   // looked up by row: one f32 copy; AdamW
  int64_t unembedding = 0;  // AdamW
  int64_t matrices = 0;     // Muon
};

void add_parameters(const Numbers& n, int64_t muon_scratch, const MemoryOptions& o, MemoryPlan& m) {
  const int64_t all = n.embeddings + n.unembedding + n.matrices;
  m.weights = 4 * all;
  if (o.dtype != DType::kF32) m.weights += size_of(o.dtype) * (n.unembedding + n.matrices);
  m.gradients = 4 * all;
  const int64_t state = 8 * (n.embeddings + n.unembedding) + 4 * n.matrices;
  m.optimizer_state = (state + o.world_size - 1) / o.world_size + muon_scratch;
  // Measured: 45 MiB of the program alone; kernels without bf16 instructions widen Muon's operands.
  m.program = o.on_gpu ? 1024 * kMebi : 48 * kMebi + 2 * muon_scratch;
}

/// extra: activations of one token row that a block keeps beyond classic's, in units of n_embd.
void add_activations(const GptConfig& c, int64_t extra, const MemoryOptions& o, MemoryPlan& m) {
  const int64_t C = c.n_embd, L = c.n_layer, a = size_of(o.dtype);
  const int64_t N = o.device_batch_size * c.sequence_len;
  const int64_t qkv_dim = (c.n_head + 2 * c.n_kv_head) * c.head_dim();
  // Two norms, q, k and v, attention's output, relu^2's output.
  const int64_t block_numbers = (2 + extra) * C + qkv_dim + C + 4 * C;
  // f32: rstd of two norms, of every head of q and k, attention's log-sum-exp.
  const int64_t block_stats = 4 * (2 + c.n_head + c.n_kv_head + c.n_head);
  const int64_t block = N * (a * block_numbers + block_stats);
  const int64_t row = N * a * C;

  const int64_t logits_rows = std::min<int64_t>(LossOptions::kLossBlockRows, N);
  const int64_t loss = row + a * logits_rows * c.vocab_size + 4 * N;
  // Around the MLP's second product backward holds the gradients of its output, of its input (4 C),
  // and soon of its input's input; the hidden state, already used, has made room for one of them.
  const int64_t backward = 5 * row;
  if (!o.activation_checkpointing) {
    m.activations = L * block + 2 * row + 2 * 4 * N;
    m.workspace = std::max(loss, backward);
    return;
  }
  m.activations = (L + 1) * row + 2 * 4 * N;
  // The last block's input and the hidden state are gone by then, and its output's gradient there.
  m.workspace = std::max(loss, block + backward - row);
}

}  // namespace

MemoryPlan classic_memory(const GptConfig& c, const MemoryOptions& options) {
  MemoryPlan m;
  const int64_t table = c.padded_vocab_size() * c.n_embd;
  add_parameters(
      {.embeddings = table, .unembedding = table, .matrices = c.num_params() - 2 * table},
      muon_scratch_bytes(c), options, m);
  add_activations(c, 0, options, m);
  return m;
}

MemoryPlan modern_memory(const ModernConfig& config, const MemoryOptions& options) {
  GptConfig blocks;
  blocks.sequence_len = config.sequence_len;
  blocks.vocab_size = config.vocab_size;
  blocks.n_layer = config.n_layer;
  blocks.n_head = config.n_head;
  blocks.n_kv_head = config.n_kv_head;
  blocks.n_embd = config.n_embd;
  const ParameterCounts counts = config.num_params();
  MemoryPlan m;
  add_parameters({.embeddings = counts.wte + counts.value_embeds + counts.scalars,
                  .unembedding = counts.lm_head,
                  .matrices = counts.transformer_matrices},
                 muon_scratch_bytes(blocks), options, m);
  add_activations(blocks, 1, options, m);
  return m;
}

}  // namespace nanochat
