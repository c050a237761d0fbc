#include "cli/plan.h"

#include <charconv>
#include <chrono>
#include <optional>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include "cli/text_io.h"
#include "core/dtype.h"
#include "core/error.h"
#include "core/log.h"
#include "core/parallel.h"
#include "core/tensor.h"
#include "ops/backend.h"
#include "train/gpu_table.h"
#include "train/plan_text.h"

namespace nanochat::cli {
namespace {

using nlohmann::ordered_json;

constexpr double kGpuMfu = 0.5;  // upstream's d32 on 8 H100s: 0.51
constexpr double kCpuMfu = 0.8;  // of a large GEMM: bench/train_step from depth 6 on
constexpr double kH100Price = 3;

struct Depths {
  std::vector<int64_t> values;
  bool is_range = false;  // then depths that cannot be are left out
};

std::optional<int64_t> whole_number(std::string_view text) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

Depths parse_depths(const std::string& text) {
  const auto number = [&text](std::string_view part) {
    const auto value = whole_number(part);
    if (!value || *value < 1 || *value > 1024) {
      throw UsageError(
          "--depth {}: '{}' is not a depth; 20, 4,8,12, 4..32 and 4..32:4 are read, "
          "with depths from 1 to 1024",
          text, part);
    }
    return *value;
  };
  Depths depths;
  const std::string_view all = text;
  if (const size_t dots = all.find(".."); dots != std::string_view::npos) {
    const size_t colon = all.find(':', dots);
    const int64_t from = number(all.substr(0, dots));
    const int64_t to = number(all.substr(
        dots + 2, colon == std::string_view::npos ? std::string_view::npos : colon - dots - 2));
    const int64_t step = colon == std::string_view::npos ? 2 : number(all.substr(colon + 1));
    if (to < from) throw UsageError("--depth {}: the second depth is below the first", text);
    for (int64_t d = from; d <= to; d += step) depths.values.push_back(d);
    depths.is_range = true;
    return depths;
  }
  for (size_t begin = 0; begin <= all.size();) {
    const size_t comma = std::min(all.find(',', begin), all.size());
    depths.values.push_back(number(all.substr(begin, comma - begin)));
    begin = comma + 1;
  }
  return depths;
}

/// GFLOP/s of large square products on this CPU, the best of about a second.
double measure_gflops(Backend& backend, DType dtype) {
  constexpr int64_t kSize = 2048;
  Tensor a({kSize, kSize}, dtype), b({kSize, kSize}, dtype), c({kSize, kSize}, dtype);
  backend.zero(a);
  backend.zero(b);
  using Clock = std::chrono::steady_clock;
  const auto start = Clock::now();
  double best = 1e30;
  while (best == 1e30 || Clock::now() - start < std::chrono::milliseconds(800)) {
    const auto begin = Clock::now();
    backend.matmul(a, false, b, true, c);
    best = std::min(best, std::chrono::duration<double>(Clock::now() - begin).count());
  }
  return 2.0 * kSize * kSize * kSize / best / 1e9;
}

DType dtype_of(const PlanCommandOptions& o, DType otherwise) {
  return o.dtype.empty() ? otherwise : parse_dtype(o.dtype).value_or(otherwise);
}

void require_positive(const char* flag, double value) {
  if (!(value > 0 && value < 1e12)) {
    throw UsageError("{} {:g}: expected a positive number", flag, value);
  }
}

PlanDevice cpu_device(const PlanCommandOptions& o) {
  if (!o.gpu.empty())
    throw UsageError("--gpu {} is not for a plan on this CPU: leave one out", o.gpu);
  if (o.gpus != 1)
    throw UsageError("--gpus {} is not for a plan on this CPU: leave it out", o.gpus);
  Backend& backend = cpu_backend();
  PlanDevice d{.name = "cpu", .is_gpu = false, .mfu = kCpuMfu};
  d.dtype = dtype_of(o, backend.preferred_dtype());
  d.memory_bytes = static_cast<int64_t>(::sysconf(_SC_PHYS_PAGES)) * ::sysconf(_SC_PAGESIZE);
  if (o.measure && o.gflops <= 0) d.peak_flops = 1e9 * measure_gflops(backend, d.dtype);
  return d;
}

PlanDevice gpu_device(const PlanCommandOptions& o) {
  const std::string name = o.gpu.empty() ? "h100" : o.gpu;
  const auto spec = find_gpu(name);
  const bool stated = o.gflops > 0 && o.memory_gib > 0;
  if (!spec && !stated) {
    throw UsageError(
        "--gpu {}: not in the table of {}; for another one give --gflops and --memory-gib", name,
        known_gpus());
  }
  PlanDevice d{.name = name, .is_gpu = true, .count = o.gpus, .mfu = kGpuMfu};
  d.dtype = dtype_of(o, DType::kBf16);
  if (spec) {
    d.name = spec->name;
    d.peak_flops = spec->peak_flops;
    d.memory_bytes = spec->memory_bytes;
    if (spec->name == "h100") d.price_per_hour = kH100Price;
  }
  return d;
}

ordered_json to_json(const MemoryPlan& m) {
  return {{"weights_bytes", m.weights},
          {"gradients_bytes", m.gradients},
          {"optimizer_state_bytes", m.optimizer_state},
          {"activations_bytes", m.activations},
          {"workspace_bytes", m.workspace},
          {"program_bytes", m.program},
          {"total_bytes", m.total()}};
}

ordered_json to_json(const PlanDevice& d) {
  ordered_json json{{"name", d.name},
                    {"kind", d.is_gpu ? "gpu" : "cpu"},
                    {"count", d.count},
                    {"peak_flops", nullptr},
                    {"mfu", d.mfu},
                    {"memory_bytes", d.memory_bytes},
                    {"usable_memory_share", kUsableMemory},
                    {"price_per_hour", d.price_per_hour},
                    {"dtype", name_of(d.dtype)}};
  if (d.peak_flops > 0) json["peak_flops"] = d.peak_flops;
  return json;
}

ordered_json to_json(const Plan& p) {
  const PlanOptions& o = p.options;
  ordered_json lr = ordered_json::object();
  for (const auto& [group, rate] : p.learning_rates) lr[group] = rate;
  ordered_json json{{"depth", o.depth},
                    {"recipe", name_of(o.recipe)},
                    {"model_config",
                     {{"sequence_len", o.sequence_len},
                      {"vocab_size", o.vocab_size},
                      {"n_layer", o.depth},
                      {"n_head", p.n_head},
                      {"n_kv_head", p.n_kv_head},
                      {"n_embd", p.n_embd}}},
                    {"param_counts",
                     {{"wte", p.params.wte},
                      {"value_embeds", p.params.value_embeds},
                      {"lm_head", p.params.lm_head},
                      {"transformer_matrices", p.params.transformer_matrices},
                      {"scalars", p.params.scalars},
                      {"total", p.params.total()}}},
                    {"num_params", p.params.total()},
                    {"num_scaling_params", p.scaling_params},
                    {"flops_per_token", p.flops_per_token},
                    {"device_batch_size", o.device_batch_size},
                    {"total_batch_size", p.total_batch_size},
                    {"grad_accum_steps", p.grad_accum_steps},
                    {"num_iterations", p.num_iterations},
                    {"total_tokens", p.total_tokens},
                    {"tokens_per_param", p.tokens_per_param},
                    {"total_flops", p.total_flops},
                    {"lr", lr},
                    {"weight_decay", p.weight_decay}};
  if (o.recipe == Recipe::kModern) {
    json["model_config"]["window_pattern"] = o.window_pattern;
    json["window_sizes"] = p.window_sizes;
    json["num_matmul_params"] = p.num_matmul_params;
    json["target_tokens"] = p.target_tokens;
    json["reference_tokens"] = p.reference_tokens;
    json["batch_lr_scale"] = p.batch_lr_scale;
  }
  json["activation_checkpointing"] = o.activation_checkpointing;
  json["memory_per_device"] = to_json(p.memory);
  json["memory_per_device_checkpointing"] = to_json(p.memory_checkpointing);
  json["fits"] = p.fits;
  json["largest_device_batch_size"] = p.largest_device_batch;
  json["largest_device_batch_size_checkpointing"] = p.largest_device_batch_checkpointing;
  json["data"] = {{"corpus", p.corpus.name},
                  {"chars_per_token", o.chars_per_token},
                  {"used_share", p.corpus.used_share},
                  {"chars", p.chars},
                  {"train_shards", p.shards},
                  {"validation_shards", 1},
                  {"epochs", p.epochs},
                  {"download_bytes", p.download_bytes}};
  json["seconds"] = p.seconds > 0 ? ordered_json(p.seconds) : ordered_json();
  json["cost_dollars"] = p.cost > 0 ? ordered_json(p.cost) : ordered_json();
  return json;
}

}  // namespace

PlanDevice device_of(const PlanCommandOptions& o) {
  for (const auto& [flag, value] :
       {std::pair{"--gflops", o.gflops}, {"--memory-gib", o.memory_gib}, {"--mfu", o.mfu}}) {
    if (value != -1) require_positive(flag, value);
  }
  if (o.device == "gpu" && o.measure) {
    throw UsageError("--measure times this CPU: leave out --device gpu");
  }
  const bool cpu =
      o.device == "cpu" || (o.device.empty() && (o.measure || (o.gflops > 0 && o.gpu.empty())));
  if (o.measure && !o.gpu.empty()) {
    throw UsageError("--measure times this CPU, not a {}: leave one out", o.gpu);
  }
  PlanDevice d = cpu ? cpu_device(o) : gpu_device(o);
  if (o.gflops > 0) d.peak_flops = 1e9 * o.gflops;
  if (o.memory_gib > 0) d.memory_bytes = static_cast<int64_t>(o.memory_gib * (int64_t{1} << 30));
  if (o.mfu > 0) d.mfu = o.mfu;
  if (o.price_per_hour != -1) {
    if (!(o.price_per_hour >= 0 && o.price_per_hour < 1e9)) {
      throw UsageError("--price {:g}: expected dollars an hour", o.price_per_hour);
    }
    d.price_per_hour = o.price_per_hour;
  }
  return d;
}

void run_plan(const CommonOptions& common, const PlanCommandOptions& options) {
  const Depths depths = parse_depths(options.depths);
  const PlanDevice device = device_of(options);
  PlanOptions o = options.plan;
  o.recipe = options.recipe == "modern" ? Recipe::kModern : Recipe::kClassic;
  std::vector<Plan> plans;
  std::optional<UsageError> refusal;
  std::vector<int64_t> left_out;
  for (const int64_t depth : depths.values) {
    o.depth = depth;
    try {
      plans.push_back(make_plan(o, device));
    } catch (const UsageError& e) {
      if (!depths.is_range) throw;
      refusal = e;
      left_out.push_back(depth);
    }
  }
  if (plans.empty()) throw UsageError(*refusal);
  if (!left_out.empty()) {
    log_warning("left out depth {}: {}", fmt::join(left_out, ", "), refusal->what());
  }
  if (common.json) {
    ordered_json result{{"device", to_json(device)}, {"plans", ordered_json::array()}};
    for (const Plan& p : plans) result["plans"].push_back(to_json(p));
    print_json(result);
    return;
  }
  print_bytes(plans.size() == 1 && !depths.is_range ? plan_text(plans[0]) : plan_table(plans));
}

}  // namespace nanochat::cli
