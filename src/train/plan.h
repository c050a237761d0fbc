/// What a pretraining run will be, before it runs: sizes, steps, memory, data, time and cost, all
/// from a few settings, with upstream's arithmetic.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "model/modern_config.h"
#include "optim/schedules.h"
#include "train/memory_plan.h"

namespace nanochat {

/// Which revision of upstream: the architecture, and the rules that size a run.
enum class Recipe { kClassic, kModern };
[[nodiscard]] const char* name_of(Recipe recipe) noexcept;

/// Where the run will be. Speeds and sizes are those of one device.
struct PlanDevice {
  std::string name;  ///< "h100", "cpu"
  bool is_gpu = true;
  int64_t count = 1;         ///< devices; each holds all weights and shares the optimizer's state
  double peak_flops = 0;     ///< FLOP/s; 0: not known, and then time and cost are not either
  double mfu = 0.5;          ///< share of the peak that training reaches
  int64_t memory_bytes = 0;  ///< 0: not known
  double price_per_hour = 0;
  DType dtype = DType::kBf16;  ///< of activations and compute weights
};

/// -1, or nothing where it may be -1, means: the recipe's own.
struct PlanOptions {
  Recipe recipe = Recipe::kClassic;
  int64_t depth = 20;
  int64_t vocab_size = -1;  ///< 65536 classic, 32768 modern
  int64_t sequence_len = 2048;
  int64_t device_batch_size = 32;  ///< sequences
  int64_t total_batch_size = -1;   ///< tokens; 524288 classic, from the tokens of the run modern
  int64_t num_iterations = -1;
  double target_flops = -1;
  std::optional<double> target_param_data_ratio{};  ///< 20 classic, 12 modern; < 0: no such horizon
  double weight_decay = -1;  ///< 0 (AdamW's) classic, 0.28 (Muon's, before scaling) modern
  bool activation_checkpointing = false;
  double chars_per_token = 4.8;  ///< of the text, by the tokenizer: upstream's rule of thumb
  // Modern only.
  int64_t aspect_ratio = 64;
  int64_t head_dim = 128;
  std::string window_pattern = "SSSL";
};

/// Upstream's files of text for the recipe.
struct Corpus {
  const char* name = "";
  int64_t train_shards = 0;  ///< all but the one for validation
  double used_share = 1;     ///< of its tokens; the rest falls to cropping when rows are packed
  static constexpr double kCharsPerShard = 250e6;
  static constexpr double kBytesPerShard = 100e6;  ///< compressed, about
};

struct Plan {
  PlanOptions options;  ///< with every number resolved
  PlanDevice device;

  int64_t n_embd = 0, n_head = 0, n_kv_head = 0, head_dim = 0;
  std::vector<int64_t> window_sizes;  ///< modern: of each layer; classic: empty

  ParameterCounts params;       ///< classic: without padding rows, as upstream has none
  int64_t scaling_params = 0;   ///< those that the ratio of tokens to parameters counts
  int64_t flops_per_token = 0;  ///< forward and backward, upstream's count

  int64_t total_batch_size = 0;  ///< tokens a step
  int64_t grad_accum_steps = 0;
  int64_t num_iterations = 0;
  int64_t total_tokens = 0;
  double total_flops = 0;
  double tokens_per_param = 0;  ///< of the scaling parameters

  /// At the first full step, by parameter group.
  std::vector<std::pair<std::string, double>> learning_rates;
  double weight_decay = 0;  ///< classic: AdamW's; modern: Muon's, scaled
  // Modern only, else 0.
  int64_t num_matmul_params = 0;
  int64_t target_tokens = 0;
  double reference_tokens = 0, batch_lr_scale = 0;

  MemoryPlan memory;                ///< as the options say
  MemoryPlan memory_checkpointing;  ///< with activation checkpointing
  bool fits = true;                 ///< memory, in what the device can give
  /// Sequences: the most that fit and divide the total batch; 0: not even one does; -1: not known.
  int64_t largest_device_batch = -1;
  int64_t largest_device_batch_checkpointing = -1;

  Corpus corpus;
  double chars = 0;           ///< of text that the run reads
  int64_t shards = 0;         ///< to download for training, at most what there is
  double epochs = 0;          ///< passes over them
  double download_bytes = 0;  ///< the shard for validation included

  double seconds = 0;  ///< of training steps alone; 0: not known
  double cost = 0;
};

/// Share of a device's memory that a run can have: the rest is the driver's, other programs', and
/// what fragments.
inline constexpr double kUsableMemory = 0.92;

/// Throws UsageError for settings that make no sense, saying which would.
[[nodiscard]] Plan make_plan(const PlanOptions& options, const PlanDevice& device);

}  // namespace nanochat
