#include "cli/loaded_model.h"

#include <utility>

#include "cli/tokenizer_store.h"
#include "core/error.h"
#include "core/log.h"
#include "ops/devices.h"
#include "train/settings.h"

namespace nanochat::cli {
namespace {

Tokenizer tokenizer_of(const CommonOptions& common, const FoundModel& found,
                       const std::string& name) {
  if (!name.empty()) return load_tokenizer(common, name);
  try {
    return load_tokenizer(common, (found.run / "").string());
  } catch (const NotFoundError&) {
    throw NotFoundError(
        "{}: no tokenizer is kept there: name the one it was trained with "
        "(--tokenizer)",
        found.run.string());
  }
}

/// All but the model's weights.
LoadedModel find_and_verify(const CommonOptions& common, const std::string& model,
                            const std::string& tokenizer, CheckpointUse use) {
  FoundModel found = find_model(common.base_dir, model);
  Checkpoint checkpoint(found.checkpoint, use);
  Tokenizer loaded = tokenizer_of(common, found, tokenizer);
  if (loaded.vocab_size() != checkpoint.config().vocab_size) {
    throw DataError("{} has {} tokens, the tokenizer {}: it was trained with another (--tokenizer)",
                    found.name, checkpoint.config().vocab_size, loaded.vocab_size());
  }
  return {std::move(found), std::move(checkpoint), std::move(loaded), nullptr};
}

void say_which(const LoadedModel& model, std::string_view weights) {
  const GptConfig& config = model.gpt->config();
  log_info("{}: {} layers, width {}, vocabulary {}; {}", model.found.name, config.n_layer,
           config.n_embd, config.vocab_size, weights);
}

}  // namespace

LoadedModel load_model(const CommonOptions& common, const std::string& model,
                       const std::string& tokenizer, const std::string& dtype,
                       const std::string& device) {
  Backend& backend = backend_named(device);
  LoadedModel loaded = find_and_verify(common, model, tokenizer, CheckpointUse::kModel);
  loaded.gpt =
      std::make_unique<Gpt>(loaded.checkpoint.config(), backend,
                            GptOptions{.dtype = dtype_named(dtype, backend), .trainable = false});
  loaded.checkpoint.load_model(*loaded.gpt);
  say_which(loaded, name_of(loaded.gpt->options().dtype));
  return loaded;
}

WeightFormat inference_format(const std::string& dtype, const std::string& quantize) {
  if (quantize == "int8") return WeightFormat::kInt8;
  return dtype == "f32" ? WeightFormat::kF32 : WeightFormat::kBf16;
}

LoadedModel load_model_for_inference(const CommonOptions& common, const InferenceOptions& options) {
  Backend& backend = backend_named(options.device);
  if (backend.device().kind != DeviceKind::kCpu) {
    if (options.quantize != "none") {
      throw UsageError("--quantize {} is for a CPU: leave it out, or give --device cpu",
                       options.quantize);
    }
    return load_model(common, options.model, options.tokenizer, options.dtype, options.device);
  }
  LoadedModel loaded =
      find_and_verify(common, options.model, options.tokenizer, CheckpointUse::kState);
  const DType dtype = dtype_named(options.dtype, backend);
  const WeightFormat format = inference_format(options.dtype, options.quantize);
  loaded.gpt =
      std::make_unique<Gpt>(loaded.checkpoint.config(), backend,
                            GptOptions{.dtype = dtype, .trainable = false, .packed = format});
  loaded.checkpoint.load_packed_model(*loaded.gpt);
  say_which(loaded, fmt::format("{} weights, {} activations", name_of(format), name_of(dtype)));
  return loaded;
}

}  // namespace nanochat::cli
