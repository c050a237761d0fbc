#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "cli/bench.h"
#include "cli/loaded_model.h"
#include "cli/text_io.h"
#include "core/error.h"
#include "core/log.h"
#include "core/progress.h"
#include "engine/inference_benchmark.h"
#include "model/weights.h"
#include "ops/devices.h"
#include "train/settings.h"

namespace nanochat::cli {
namespace {

struct Models {
  std::string name;
  std::unique_ptr<Gpt> packed, plain;  // plain: as in training; on a GPU both are
};

Models make_untrained(const BenchInferOptions& o) {
  Backend& backend = backend_named(o.device);
  const DType dtype = dtype_named(o.dtype, backend);
  const GptConfig config = GptConfig::from_depth(o.depth, o.vocab_size, 2048);
  Models models{.name = fmt::format("untrained, depth {}", o.depth), .packed = {}, .plain = {}};
  const auto make_plain = [&] {
    auto model =
        std::make_unique<Gpt>(config, backend, GptOptions{.dtype = dtype, .trainable = false});
    model->init_weights(1);
    return model;
  };
  if (backend.device().kind == DeviceKind::kCpu) {
    Gpt source(config, backend, {.trainable = false});
    source.init_weights(1);
    models.packed = std::make_unique<Gpt>(
        config, backend,
        GptOptions{
            .dtype = dtype, .trainable = false, .packed = inference_format(o.dtype, o.quantize)});
    pack_weights(source, *models.packed);
  } else if (o.quantize != "none") {
    throw UsageError("--quantize {} is for a CPU: leave it out, or give --device cpu", o.quantize);
  } else {
    models.packed = make_plain();
  }
  models.plain = make_plain();
  return models;
}

Models load(const CommonOptions& common, const BenchInferOptions& o) {
  LoadedModel packed = load_model_for_inference(
      common, {.model = o.model, .device = o.device, .dtype = o.dtype, .quantize = o.quantize});
  LoadedModel plain = load_model(common, o.model, "", o.dtype, o.device);
  return {packed.found.name, std::move(packed.gpt), std::move(plain.gpt)};
}

}  // namespace

void run_bench_infer(const CommonOptions& common, const BenchInferOptions& options) {
  if (options.prompt_tokens < 1 || options.decode_tokens < 1 || options.vocab_size < 2) {
    throw UsageError("--prompt-tokens, --decode-tokens and --vocab-size must be positive");
  }
  Models models = options.depth > 0 ? make_untrained(options) : load(common, options);
  const double bandwidth = measure_read_bandwidth(models.plain->backend());
  const GptOptions& kind = models.packed->options();
  const std::string_view weights = kind.packed ? name_of(*kind.packed) : name_of(kind.dtype);
  const double forward = measure_forward(*models.plain, options.prompt_tokens);
  models.plain.reset();
  nlohmann::ordered_json result{{"model", models.name},
                                {"weights", weights},
                                {"dtype", name_of(models.packed->options().dtype)},
                                {"prompt_tokens", options.prompt_tokens},
                                {"decode_tokens", options.decode_tokens},
                                {"read_bytes_per_second", bandwidth},
                                {"training_forward_tokens_per_second", forward}};
  if (!common.json) {
    fmt::print("{}: {} weights, {} activations; memory is read at {:.1f} GB/s\n", models.name,
               weights, name_of(kind.dtype), bandwidth / 1e9);
  }
  double first_rate = 0;
  result["batches"] = nlohmann::ordered_json::array();
  const auto show = [&](const BatchMeasurement& m) {
    const double prefill = static_cast<double>(options.prompt_tokens) / m.first_token_seconds;
    if (first_rate == 0) {
      first_rate = m.tokens_per_second();
      if (!common.json) {
        fmt::print(
            "prefill: first token after {:.0f} ms, {:.0f} tokens/s, {:.2f} of training's forward "
            "pass\n\n{:>5} {:>9} {:>10} {:>9} {:>9} {:>10} {:>9}\n",
            m.first_token_seconds * 1e3, prefill, prefill / forward, "batch", "ms/step", "tokens/s",
            "speed-up", "GB/s", "of memory", "holds");
      }
    }
    result["batches"].push_back({{"batch", m.batch},
                                 {"first_token_seconds", m.first_token_seconds},
                                 {"prefill_tokens_per_second", prefill},
                                 {"step_seconds", m.step_seconds},
                                 {"tokens_per_second", m.tokens_per_second()},
                                 {"bytes_per_second", m.bytes_per_second()},
                                 {"share_of_bandwidth", m.bytes_per_second() / bandwidth},
                                 {"memory_bytes", m.memory_bytes}});
    if (common.json) return;
    fmt::print("{:>5} {:>9.2f} {:>10.1f} {:>8.2f}x {:>9.1f} {:>9.0f}% {:>9}\n", m.batch,
               m.step_seconds * 1e3, m.tokens_per_second(), m.tokens_per_second() / first_rate,
               m.bytes_per_second() / 1e9, 100 * m.bytes_per_second() / bandwidth,
               binary_size(static_cast<double>(m.memory_bytes)));
    std::fflush(stdout);
  };
  static_cast<void>(measure_generation(*models.packed,
                                       {.prompt_tokens = options.prompt_tokens,
                                        .decode_tokens = options.decode_tokens,
                                        .batch_sizes = options.batch_sizes},
                                       show));
  if (common.json) print_json(result);
}

}  // namespace nanochat::cli
