/// The classic nanochat GPT: the one definition that training, evaluation and chat all run.
///
/// Differences from GPT-2: rotary positions instead of learned ones, RMSNorm without a scale (also
/// right after the embedding), a norm on q and k, grouped-query attention, relu^2, no biases, input
/// and output embeddings untied, logits capped by 15 tanh(x / 15).
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "autograd/functions.h"
#include "autograd/parameter.h"
#include "model/gpt_config.h"

namespace nanochat {

struct GptOptions {
  /// Activations and compute weights: f32, or bf16 where the backend has it (f64: gradient checks
  /// on the reference backend, master weights included).
  DType dtype = DType::kF32;
  bool trainable = true;  ///< false: no gradients, no master copies beside the compute weights
  /// Keep the matrices packed in this format, and nowhere else (not trainable): forward then gives
  /// a row the same bits whatever rows are beside it. Loss is not for such a model.
  std::optional<WeightFormat> packed{};
  bool activation_checkpointing = false;  ///< keep only each block's input, compute the rest twice
  /// See LossOptions::chunk_rows. Blocks are a CPU's or a GPU's.
  int64_t loss_chunk_rows = LossOptions::kLossBlockRows;
};

/// A batch for training or evaluation, on the host or the model's device. The tensors are [N] with
/// N = runs.n_tokens().
struct Batch {
  Tensor ids;      ///< i32 in [0, vocab_size)
  Tensor targets;  ///< i32, the token that follows each; < 0: ignored
  Tensor weights;  ///< f32, what each row's loss counts for
  TokenRuns runs;
};

/// weights = 1 / (targets that are not ignored x micro_batches): the mean loss, as one of several
/// micro-batches whose gradients add up. All targets ignored: zeros, so loss and gradient are 0.
void set_mean_weights(Batch& batch, int64_t micro_batches = 1);

class Gpt {
 public:
  /// Allocates; weights are undefined until init_weights or load_weights. Throws UsageError for a
  /// configuration that makes no sense, DeviceError when the backend lacks the dtype.
  Gpt(const GptConfig& config, Backend& backend, const GptOptions& options = {});
  Gpt(const Gpt&) = delete;
  Gpt& operator=(const Gpt&) = delete;

  /// Upstream's initialisation: linear weights normal with std min(1, sqrt(out / in)) / sqrt(in),
  /// wte standard normal, lm_head and both c_proj zero. A function of the seed alone.
  void init_weights(uint64_t seed);

  /// The hidden states after the final norm, [N, C]. With `caches` (one per layer), attention reads
  /// and extends them instead of staying within the runs. `runs` must live until backward.
  [[nodiscard]] Var forward(Tape& tape, const Tensor& ids, const TokenRuns& runs,
                            std::span<KvCache> caches = {});
  /// logits [n, vocab_size] f32 (f64), softcapped, of hidden rows [n, C]. Inference.
  [[nodiscard]] Tensor logits(Tape& tape, const Tensor& hidden);
  /// forward and loss. When the tape records, lm_head's gradient is accumulated here already; call
  /// tape.backward() for the rest.
  [[nodiscard]] LossResult loss(Tape& tape, const Batch& batch);

  /// In upstream's state-dict order: wte, the blocks, lm_head.
  [[nodiscard]] std::span<Parameter> parameters() noexcept { return parameters_; }
  [[nodiscard]] std::span<const Parameter> parameters() const noexcept { return parameters_; }
  /// By state-dict key; throws NotFoundError.
  [[nodiscard]] Parameter& parameter(std::string_view name);
  void zero_grad();
  /// Rounds the master weights to the compute weights; after every change of the former.
  void refresh_compute_weights();

  /// Empty caches for `slots` sequences of `capacity` tokens, one per layer, in the model's dtype
  /// or in bf16. With a window, and no call that adds more than `longest_run` tokens to a sequence,
  /// a layer keeps what the window needs only.
  [[nodiscard]] std::vector<KvCache> make_caches(int64_t slots, int64_t capacity,
                                                 std::optional<DType> dtype = {},
                                                 std::optional<int64_t> longest_run = {}) const;
  /// Rows per slot of such a cache.
  [[nodiscard]] int64_t cache_rows(int64_t capacity, std::optional<int64_t> longest_run) const;

  /// With GptOptions::packed, in the order of parameters(): all matrices, then lm_head. For
  /// model/weights.h to fill.
  [[nodiscard]] std::deque<PackedWeights>& packed_weights() noexcept { return packed_; }
  [[nodiscard]] const std::deque<PackedWeights>& packed_weights() const noexcept { return packed_; }

  [[nodiscard]] const GptConfig& config() const noexcept { return config_; }
  [[nodiscard]] const GptOptions& options() const noexcept { return options_; }
  [[nodiscard]] Backend& backend() const noexcept { return backend_; }
  /// Bytes of master weights, compute weights and gradients.
  [[nodiscard]] int64_t weight_bytes() const noexcept;
  [[nodiscard]] int64_t grad_bytes() const noexcept;

 private:
  struct Block {
    Weight c_qkv;  // c_q, c_k and c_v beneath one another: one product instead of three
    Weight attn_c_proj, c_fc, mlp_c_proj;
  };
  [[nodiscard]] Var block(Tape& tape, const Block& b, const Var& x, const TokenRuns& runs,
                          KvCache* cache) const;
  [[nodiscard]] Var attention_branch(Tape& tape, const Block& b, const Var& x,
                                     const TokenRuns& runs, KvCache* cache) const;
  [[nodiscard]] Var mlp_branch(Tape& tape, const Block& b, const Var& x) const;
  Weight add_parameters(ParameterKind kind, int64_t in,
                        std::span<const std::pair<std::string, int64_t>> names_and_rows);
  Weight add_packed(ParameterKind kind, int64_t in, int64_t out,
                    std::span<const std::pair<std::string, int64_t>> names_and_rows);
  void make_rotary_tables();

  GptConfig config_;
  Backend& backend_;
  GptOptions options_;
  AttentionShape attention_shape_;
  std::vector<Parameter> parameters_;
  std::vector<Block> blocks_;
  Weight lm_head_;
  std::deque<PackedWeights> packed_;  // stays put: parameters and weights point into it
  Tensor cos_, sin_;                  // [max_positions, D/2]
};

}  // namespace nanochat
