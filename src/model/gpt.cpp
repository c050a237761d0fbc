#include "model/gpt.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "core/rng.h"
#include "ops/transfer.h"

namespace nanochat {

// ---- the model ---------------------------------------------------------------------------------

Var Gpt::forward(Tape& tape, const Tensor& ids, const TokenRuns& runs, std::span<KvCache> caches) {
  NC_CHECK(caches.empty() || caches.size() == blocks_.size());
  Var x = embedding(tape, parameters_.front(), ids, options_.dtype);  // (N, C)
  x = rms_norm(tape, x, config_.rms_norm_eps);
  for (size_t i = 0; i < blocks_.size(); ++i) {
    const auto run_block = [this, i, &runs, cache = caches.empty() ? nullptr : &caches[i]](
                               Tape& t, const Var& in) {
      return block(t, blocks_[i], in, runs, cache);
    };
    x = options_.activation_checkpointing ? checkpoint(tape, x, run_block) : run_block(tape, x);
  }
  return rms_norm(tape, x, config_.rms_norm_eps);
}

Var Gpt::block(Tape& tape, const Block& b, const Var& x, const TokenRuns& runs,
               KvCache* cache) const {
  const Var mid = add(tape, x, attention_branch(tape, b, x, runs, cache));
  return add(tape, mid, mlp_branch(tape, b, mid));
}

Var Gpt::attention_branch(Tape& tape, const Block& b, const Var& x, const TokenRuns& runs,
                          KvCache* cache) const {
  const Var u = rms_norm(tape, x, config_.rms_norm_eps);
  Var qkv = linear(tape, u, b.c_qkv);  // (N, (H + 2 Hkv) D)
  qkv = rope_qk_norm(tape, std::move(qkv), runs, attention_shape_, cos_, sin_, config_.qk_gain,
                     config_.rms_norm_eps);
  const Var y = cache ? attention_cached(tape, qkv, runs, attention_shape_, *cache)
                      : attention(tape, qkv, runs, attention_shape_);  // (N, C)
  return linear(tape, y, b.attn_c_proj);
}

Var Gpt::mlp_branch(Tape& tape, const Block& b, const Var& x) const {
  const Var u = rms_norm(tape, x, config_.rms_norm_eps);
  const Var h = linear_relu_squared(tape, u, b.c_fc);  // (N, 4C)
  return linear(tape, h, b.mlp_c_proj);
}

Tensor Gpt::logits(Tape& tape, const Tensor& hidden) {
  if (hidden.rank() != 2 || hidden.dim(1) != config_.n_embd) {
    throw ShapeError("logits: hidden is {}, expected [n, {}]", hidden.shape(), config_.n_embd);
  }
  Tensor y = tape.empty({hidden.dim(0), config_.vocab_size}, stats_dtype(options_.dtype));
  if (lm_head_.packed) {
    backend_.matmul_packed(hidden, *lm_head_.packed, y);
  } else {
    backend_.matmul(hidden, false, lm_head_.value.rows(0, config_.vocab_size), true, y);
  }
  backend_.softcap(y, config_.softcap, y);
  return y;
}

LossResult Gpt::loss(Tape& tape, const Batch& batch) {
  NC_CHECK(!options_.packed, "a model with packed weights has no loss");
  const Var x = forward(tape, batch.ids, batch.runs);
  const bool on_cpu = backend_.device().kind == DeviceKind::kCpu;
  return softcap_cross_entropy(
      tape, x, lm_head_, batch.targets, batch.weights,
      {.softcap = config_.softcap,
       .vocab_size = config_.vocab_size,
       .chunk_rows = options_.loss_chunk_rows,
       .block_rows = on_cpu ? LossOptions::kLossBlockRows : LossOptions::kGpuLossBlockRows});
}

// ---- its parameters ----------------------------------------------------------------------------

Gpt::Gpt(const GptConfig& config, Backend& backend, const GptOptions& options)
    : config_(config), backend_(backend), options_(options) {
  config_.validate();
  NC_CHECK(!options.packed || !options.trainable, "packed weights cannot be trained");
  NC_CHECK(!options.packed || backend.device().kind == DeviceKind::kCpu,
           "packed weights are loaded by the CPU");
  if (!backend.supports(options.dtype)) {
    throw DeviceError("the {} backend has no {}: use --dtype {}", backend.name(),
                      name_of(options.dtype), name_of(backend.preferred_dtype()));
  }
  const int64_t C = config_.n_embd, D = config_.head_dim();
  attention_shape_ = {.n_head = config_.n_head,
                      .n_kv_head = config_.n_kv_head,
                      .head_dim = D,
                      .window = config_.window,
                      .scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(D)))};
  const int64_t rows = config_.padded_vocab_size();
  using Rows = std::pair<std::string, int64_t>;
  parameters_.reserve(static_cast<size_t>(2 + 6 * config_.n_layer));
  add_parameters(ParameterKind::kEmbedding, C, std::array{Rows{"transformer.wte.weight", rows}});
  for (int64_t i = 0; i < config_.n_layer; ++i) {
    const std::string h = fmt::format("transformer.h.{}.", i);
    const auto matrices = [&](int64_t in, std::span<const Rows> names) {
      return add_parameters(ParameterKind::kMatrix, in, names);
    };
    Block b;
    b.c_qkv = matrices(C, std::array{Rows{h + "attn.c_q.weight", attention_shape_.q_dim()},
                                     Rows{h + "attn.c_k.weight", attention_shape_.kv_dim()},
                                     Rows{h + "attn.c_v.weight", attention_shape_.kv_dim()}});
    b.attn_c_proj =
        matrices(attention_shape_.q_dim(), std::array{Rows{h + "attn.c_proj.weight", C}});
    b.c_fc = matrices(C, std::array{Rows{h + "mlp.c_fc.weight", 4 * C}});
    b.mlp_c_proj = matrices(4 * C, std::array{Rows{h + "mlp.c_proj.weight", C}});
    blocks_.push_back(std::move(b));
  }
  lm_head_ =
      add_parameters(ParameterKind::kUnembedding, C, std::array{Rows{"lm_head.weight", rows}});
  make_rotary_tables();
}

/// Appends parameters that lie beneath one another in memory, and returns them as one weight.
Weight Gpt::add_parameters(ParameterKind kind, int64_t in,
                           std::span<const std::pair<std::string, int64_t>> names_and_rows) {
  int64_t out = 0;
  for (const auto& [name, rows] : names_and_rows) out += rows;
  if (options_.packed) return add_packed(kind, in, out, names_and_rows);
  const DType act = options_.dtype, master = stats_dtype(act);
  // wte is looked up in the master copy, a row at a time; its rounding is never needed whole.
  const bool one_copy = act == master || kind == ParameterKind::kEmbedding;
  const auto empty = [&](DType dtype) { return Tensor({out, in}, dtype, backend_.allocator()); };
  const Tensor value = options_.trainable || one_copy ? empty(master) : Tensor();
  const Tensor compute = one_copy ? value : empty(act);
  Tensor grad;
  if (options_.trainable) {
    grad = empty(master);
    backend_.zero(grad);
  }
  int64_t begin = 0;
  for (const auto& [name, rows] : names_and_rows) {
    const auto part = [&, end = begin + rows](const Tensor& t) {
      return t ? t.rows(begin, end) : Tensor();
    };
    parameters_.push_back({.name = name,
                           .kind = kind,
                           .value = part(value ? value : compute),
                           .grad = part(grad),
                           .compute = part(compute),
                           .rows = rows,
                           .columns = in});
    begin += rows;
  }
  return {compute, grad};
}

/// The same without memory: load_weights brings it.
Weight Gpt::add_packed(ParameterKind kind, int64_t in, int64_t out,
                       std::span<const std::pair<std::string, int64_t>> names_and_rows) {
  PackedWeights* packed = nullptr;
  if (kind != ParameterKind::kEmbedding) {
    packed = &packed_.emplace_back();
    packed->format = *options_.packed;
    // Nobody asks for the logits of the padding.
    packed->out = kind == ParameterKind::kUnembedding ? config_.vocab_size : out;
    packed->in = in;
  }
  int64_t begin = 0;
  for (const auto& [name, rows] : names_and_rows) {
    parameters_.push_back({.name = name,
                           .kind = kind,
                           .rows = rows,
                           .columns = in,
                           .packed = packed,
                           .packed_row = begin});
    begin += rows;
  }
  return {.value = {}, .grad = {}, .packed = packed};
}

void Gpt::make_rotary_tables() {
  const int64_t P = config_.max_positions(), half = config_.head_dim() / 2;
  const DType dtype = stats_dtype(options_.dtype);
  cos_ = Tensor({P, half}, dtype);
  sin_ = Tensor({P, half}, dtype);
  for (int64_t i = 0; i < half; ++i) {
    // Every step in f32, as upstream, then rounded to bf16, as upstream always does in classic.
    const float exponent = static_cast<float>(2 * i) / static_cast<float>(config_.head_dim());
    const float frequency = 1.0F / std::pow(config_.rope_base, exponent);
    for (int64_t p = 0; p < P; ++p) {
      const float angle = static_cast<float>(p) * frequency;
      const auto c = static_cast<float>(Bf16(std::cos(angle)));
      const auto s = static_cast<float>(Bf16(std::sin(angle)));
      if (dtype == DType::kF64) {
        cos_.data<double>()[p * half + i] = c;
        sin_.data<double>()[p * half + i] = s;
      } else {
        cos_.data<float>()[p * half + i] = c;
        sin_.data<float>()[p * half + i] = s;
      }
    }
  }
  cos_ = on_device(backend_, cos_);
  sin_ = on_device(backend_, sin_);
}

void Gpt::init_weights(uint64_t seed) {
  NC_CHECK(!options_.packed, "packed weights are loaded");
  uint32_t index = 0;
  for (Parameter& p : parameters_) {
    const RandomStream stream(seed, RandomPurpose::kInit, 0, index++);
    const auto fill = [&](double std) {
      const bool on_cpu = p.value.device().kind == DeviceKind::kCpu;
      Tensor x = on_cpu ? p.value : Tensor(p.value.shape(), p.value.dtype());
      fill_normal(x, stream, 0, static_cast<float>(std));
      if (!on_cpu) backend_.copy(x, p.value);
    };
    const auto out = static_cast<double>(p.value.dim(0)), in = static_cast<double>(p.value.dim(1));
    if (p.kind == ParameterKind::kUnembedding || p.name.ends_with("c_proj.weight")) {
      backend_.zero(p.value);
    } else if (p.kind == ParameterKind::kEmbedding) {
      fill(1);
    } else {
      fill(std::min(1.0, std::sqrt(out / in)) / std::sqrt(in));
    }
  }
  refresh_compute_weights();
}

Parameter& Gpt::parameter(std::string_view name) {
  for (Parameter& p : parameters_) {
    if (p.name == name) return p;
  }
  throw NotFoundError("the model has no parameter '{}'", name);
}

void Gpt::zero_grad() {
  for (Parameter& p : parameters_) {
    if (p.grad) backend_.zero(p.grad);
  }
}

void Gpt::refresh_compute_weights() {
  for (Parameter& p : parameters_) {
    if (p.compute && p.compute.raw() != p.value.raw()) backend_.cast(p.value, p.compute);
  }
}

int64_t Gpt::cache_rows(int64_t capacity, std::optional<int64_t> longest_run) const {
  const auto rounded = [](int64_t n) {
    return (n + kCacheMultiple - 1) / kCacheMultiple * kCacheMultiple;
  };
  const int64_t window = attention_shape_.window;
  if (window < 0 || !longest_run) return rounded(capacity);
  return std::min(rounded(capacity), rounded(window + kCacheMultiple + *longest_run));
}

std::vector<KvCache> Gpt::make_caches(int64_t slots, int64_t capacity, std::optional<DType> dtype,
                                      std::optional<int64_t> longest_run) const {
  std::vector<KvCache> caches(blocks_.size());
  const Shape shape{slots, cache_rows(capacity, longest_run), attention_shape_.kv_dim()};
  const DType type = dtype.value_or(options_.dtype);
  for (KvCache& c : caches) {
    c = {Tensor(shape, type, backend_.allocator()), Tensor(shape, type, backend_.allocator())};
  }
  return caches;
}

int64_t Gpt::weight_bytes() const noexcept {
  int64_t bytes = 0;
  for (const Parameter& p : parameters_) {
    bytes += p.value ? p.value.size_bytes() : 0;
    if (p.compute && p.compute.raw() != p.value.raw()) bytes += p.compute.size_bytes();
  }
  for (const PackedWeights& w : packed_) bytes += w ? w.size_bytes() : 0;
  return bytes;
}

int64_t Gpt::grad_bytes() const noexcept {
  int64_t bytes = 0;
  for (const Parameter& p : parameters_) bytes += p.grad ? p.grad.size_bytes() : 0;
  return bytes;
}

void set_mean_weights(Batch& batch, int64_t micro_batches) {
  int64_t valid = 0;
  for (const int32_t t : batch.targets.span<int32_t>()) valid += t >= 0;
  const double weight = valid ? 1.0 / static_cast<double>(valid * micro_batches) : 0.0;
  std::ranges::fill(batch.weights.span<float>(), static_cast<float>(weight));
}

}  // namespace nanochat
