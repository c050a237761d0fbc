#include "train/plan.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/error.h"
#include "model/gpt_config.h"
#include "optim/classic.h"
#include "optim/modern_schedules.h"

namespace nanochat {
namespace {

// Modern's packed rows crop the documents that do not fit: 34.6 % of the tokens, as upstream
// measured on its corpus with rows of 2048.
constexpr Corpus kFineWebEdu{.name = "fineweb-edu-100b", .train_shards = 1822};
constexpr Corpus kClimbMix{.name = "climbmix-400b", .train_shards = 6542, .used_share = 1 - 0.346};

// Learning rates of modern's groups, tuned at 768 channels and 2^19 tokens a step.
constexpr double kModernUnembeddingLr = 0.008, kModernEmbeddingLr = 0.3, kModernScalarLr = 0.5;
constexpr double kModernMatrixLr = 0.02, kModernSmearLr = 0.2;

constexpr double kMostSteps = 1e12;

void resolve_defaults(PlanOptions& o) {
  const bool classic = o.recipe == Recipe::kClassic;
  if (o.vocab_size == -1) o.vocab_size = classic ? 65536 : 32768;
  if (!o.target_param_data_ratio) o.target_param_data_ratio = classic ? 20 : 12;
  if (o.weight_decay < 0) o.weight_decay = classic ? 0 : 0.28;
  if (o.total_batch_size == -1 && classic) o.total_batch_size = int64_t{1} << 19;
}

double embedding_lr_scale(int64_t n_embd) {
  return std::pow(static_cast<double>(n_embd) / 768, -0.5);
}

HorizonConfig horizon_of(const PlanOptions& o) {
  return {.num_iterations = o.num_iterations,
          .target_flops = o.target_flops,
          .target_param_data_ratio = *o.target_param_data_ratio};
}

GptConfig classic_config(const PlanOptions& o) {
  return GptConfig::from_depth(o.depth, o.vocab_size, o.sequence_len);
}

ModernConfig modern_config(const PlanOptions& o, int64_t depth) {
  return ModernConfig::from_depth(depth, o.vocab_size, o.sequence_len, o.aspect_ratio, o.head_dim,
                                  o.window_pattern);
}

/// Throws when the run's steps are more than anyone can count.
void check_horizon(const PlanOptions& o, int64_t flops_per_token, int64_t total_batch_size) {
  const double steps = o.num_iterations > 0
                           ? static_cast<double>(o.num_iterations)
                           : o.target_flops / (static_cast<double>(flops_per_token) *
                                               static_cast<double>(total_batch_size));
  if (steps > kMostSteps) throw UsageError("the run has {:.3g} steps: at most 1e12", steps);
}

void plan_classic(Plan& p) {
  const PlanOptions& o = p.options;
  GptConfig c = classic_config(o);
  c.pad_vocab_to = 1;  // upstream's counts
  p.n_embd = c.n_embd;
  p.n_head = c.n_head;
  p.n_kv_head = c.n_kv_head;
  const int64_t table = c.vocab_size * c.n_embd;
  p.params = {.wte = table, .lm_head = table, .transformer_matrices = c.num_params() - 2 * table};
  p.scaling_params = c.num_params();
  p.flops_per_token = c.flops_per_token();
  p.total_batch_size = o.total_batch_size;
  check_horizon(o, p.flops_per_token, p.total_batch_size);
  p.num_iterations = classic_num_iterations(horizon_of(o), p.scaling_params, p.flops_per_token,
                                            o.total_batch_size);
  const ClassicOptimConfig optim;
  const double scale = embedding_lr_scale(c.n_embd);
  p.learning_rates = {{"lm_head", optim.unembedding_lr * scale},
                      {"wte", optim.embedding_lr * scale},
                      {"muon", optim.matrix_lr}};
  p.weight_decay = o.weight_decay;
  p.corpus = kFineWebEdu;
}

void plan_modern(Plan& p) {
  const PlanOptions& o = p.options;
  const ModernConfig c = modern_config(o, o.depth);
  p.n_embd = c.n_embd;
  p.n_head = c.n_head;
  p.n_kv_head = c.n_kv_head;
  p.window_sizes = c.window_sizes();
  p.params = c.num_params();
  p.scaling_params = p.params.scaling();
  p.num_matmul_params = c.num_matmul_params();
  p.flops_per_token = c.flops_per_token();
  const ModernScaling s = modern_scaling(*o.target_param_data_ratio, p.scaling_params,
                                         modern_config(o, 12).num_params().scaling(),
                                         o.total_batch_size, o.weight_decay);
  p.target_tokens = s.target_tokens;
  p.reference_tokens = s.reference_tokens;
  p.total_batch_size = s.total_batch_size;
  p.batch_lr_scale = s.batch_lr_scale;
  p.weight_decay = s.weight_decay_scaled;
  check_horizon(o, p.flops_per_token, p.total_batch_size);
  p.num_iterations = modern_num_iterations(horizon_of(o), s, p.flops_per_token);
  const double b = s.batch_lr_scale, scale = embedding_lr_scale(c.n_embd);
  p.learning_rates = {{"lm_head", kModernUnembeddingLr * b * scale},
                      {"wte", kModernEmbeddingLr * b * scale},
                      {"value_embeds", kModernEmbeddingLr * b * scale * 0.5},
                      {"resid_lambdas", kModernScalarLr * b * 0.01},
                      {"x0_lambdas", kModernScalarLr * b},
                      {"smear_backout", kModernSmearLr},
                      {"muon", kModernMatrixLr * b}};
  p.corpus = kClimbMix;
}

MemoryPlan memory_of(const Plan& p, int64_t device_batch_size, bool checkpointing) {
  const MemoryOptions options{.dtype = p.device.dtype,
                              .device_batch_size = device_batch_size,
                              .activation_checkpointing = checkpointing,
                              .world_size = p.device.count,
                              .on_gpu = p.device.is_gpu};
  if (p.options.recipe == Recipe::kClassic) {
    return classic_memory(classic_config(p.options), options);
  }
  return modern_memory(modern_config(p.options, p.options.depth), options);
}

int64_t largest_device_batch(const Plan& p, bool checkpointing) {
  if (p.device.memory_bytes <= 0) return -1;
  const double room = kUsableMemory * static_cast<double>(p.device.memory_bytes);
  const int64_t sequences = p.total_batch_size / p.options.sequence_len / p.device.count;
  int64_t largest = 0;
  const auto try_batch = [&](int64_t batch) {
    if (batch <= largest) return;
    if (static_cast<double>(memory_of(p, batch, checkpointing).total()) <= room) largest = batch;
  };
  for (int64_t d = 1; d * d <= sequences; ++d) {
    if (sequences % d != 0) continue;
    try_batch(d);
    try_batch(sequences / d);
  }
  return largest;
}

void plan_memory(Plan& p) {
  const int64_t batch = p.options.device_batch_size;
  p.memory = memory_of(p, batch, p.options.activation_checkpointing);
  p.memory_checkpointing = memory_of(p, batch, true);
  p.fits =
      p.device.memory_bytes <= 0 || static_cast<double>(p.memory.total()) <=
                                        kUsableMemory * static_cast<double>(p.device.memory_bytes);
  p.largest_device_batch = largest_device_batch(p, false);
  p.largest_device_batch_checkpointing = largest_device_batch(p, true);
}

void plan_data(Plan& p) {
  p.chars = static_cast<double>(p.total_tokens) / p.corpus.used_share * p.options.chars_per_token;
  const double wanted = std::ceil(p.chars / Corpus::kCharsPerShard);
  p.shards = static_cast<int64_t>(std::min(wanted, static_cast<double>(p.corpus.train_shards)));
  p.epochs = p.chars / (static_cast<double>(p.shards) * Corpus::kCharsPerShard);
  p.download_bytes = static_cast<double>(p.shards + 1) * Corpus::kBytesPerShard;
}

void plan_time(Plan& p) {
  const PlanDevice& d = p.device;
  if (d.peak_flops <= 0) return;
  p.seconds = p.total_flops / (d.peak_flops * d.mfu * static_cast<double>(d.count));
  p.cost = p.seconds / 3600 * d.price_per_hour * static_cast<double>(d.count);
}

// Beyond these nobody has a use, and sums of bytes would not fit in 63 bits.
constexpr int64_t kMostDepth = 1024, kMostChannels = int64_t{1} << 16;
constexpr int64_t kMostTokens = int64_t{1} << 31, kMostDevices = int64_t{1} << 20;

void require_range(const char* what, int64_t value, int64_t least, int64_t most) {
  if (value < least || value > most) {
    throw UsageError("{} is {}: expected {} to {}", what, value, least, most);
  }
}

void check(const PlanOptions& o, const PlanDevice& d) {
  require_range("depth", o.depth, 1, kMostDepth);
  require_range("the vocabulary", o.vocab_size, 1, kMostTokens);
  require_range("the sequence length", o.sequence_len, 1, kMostTokens);
  require_range("the number of devices", d.count, 1, kMostDevices);
  if (o.recipe == Recipe::kModern) {
    require_range("the aspect ratio", o.aspect_ratio, 1, kMostChannels / o.depth);
    require_range("the head dimension", o.head_dim, 2, kMostChannels);
  }
  require_range("the device batch, in sequences,", o.device_batch_size, 1,
                std::max<int64_t>(1, kMostTokens / o.sequence_len / d.count));
  if (o.total_batch_size != -1) {
    require_range("the total batch, in tokens,", o.total_batch_size, 1, kMostTokens);
  }
  if (o.recipe == Recipe::kModern && *o.target_param_data_ratio == 0) {
    throw UsageError("0 tokens per parameter: the recipe scales by them; -1 turns the horizon off");
  }
  if (!(d.mfu > 0 && d.mfu <= 1)) {
    throw UsageError(
        "MFU is the share of the peak that is reached, above 0 and at most 1: it cannot be {:g}",
        d.mfu);
  }
  if (!(o.chars_per_token > 0 && o.chars_per_token <= 1000)) {
    throw UsageError("{:g} characters per token: expected about 4.8", o.chars_per_token);
  }
  if (!(std::abs(*o.target_param_data_ratio) <= 1e9) || std::isnan(o.target_flops)) {
    throw UsageError("{:g} tokens per parameter, {:g} FLOPs: expected finite numbers",
                     *o.target_param_data_ratio, o.target_flops);
  }
}

}  // namespace

const char* name_of(Recipe recipe) noexcept {
  return recipe == Recipe::kClassic ? "classic" : "modern";
}

Plan make_plan(const PlanOptions& options, const PlanDevice& device) {
  Plan p;
  p.options = options;
  p.device = device;
  resolve_defaults(p.options);
  check(p.options, device);
  p.options.recipe == Recipe::kClassic ? plan_classic(p) : plan_modern(p);
  p.head_dim = p.n_embd / p.n_head;
  p.grad_accum_steps = grad_accum_steps(p.total_batch_size, p.options.device_batch_size,
                                        p.options.sequence_len, device.count);
  p.total_tokens = p.num_iterations * p.total_batch_size;
  p.total_flops = static_cast<double>(p.flops_per_token) * static_cast<double>(p.total_tokens);
  p.tokens_per_param = static_cast<double>(p.total_tokens) / static_cast<double>(p.scaling_params);
  plan_memory(p);
  plan_data(p);
  plan_time(p);
  return p;
}

}  // namespace nanochat
