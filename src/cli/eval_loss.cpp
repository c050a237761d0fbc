#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "cli/interrupt.h"
#include "cli/loaded_model.h"
#include "cli/model.h"
#include "cli/report_section.h"
#include "cli/text_io.h"
#include "core/arena.h"
#include "core/error.h"
#include "core/progress.h"
#include "data/split.h"
#include "eval/bits_per_byte.h"
#include "model/weights.h"
#include "train/base_config.h"
#include "train/loader_source.h"
#include "train/settings.h"

namespace nanochat::cli {
namespace {

/// The settings that the model was trained with, and what the command line says otherwise.
BaseTrainConfig settings_of(const LoadedModel& model, const EvalLossOptions& options) {
  BaseTrainConfig config;
  const auto saved = model.checkpoint.state().find("settings");
  if (saved != model.checkpoint.state().end()) {
    read_settings(*saved, (model.checkpoint.folder() / "state.json").string(), config);
  }
  if (!options.data.empty()) {
    config.data = options.data;
    config.val_data = options.val_data;
  } else if (!options.val_data.empty()) {
    config.val_data = options.val_data;
  }
  if (!options.text_field.empty()) config.text_field = options.text_field;
  if (!options.txt_separator.empty()) config.txt_separator = options.txt_separator;
  if (config.data.empty()) {
    throw UsageError("{} does not say what it was trained with: give --data", model.found.name);
  }
  return config;
}

}  // namespace

void run_eval_loss(const CommonOptions& common, const EvalLossOptions& options) {
  const LoadedModel model =
      load_model(common, options.model, options.tokenizer, options.dtype, options.device);
  const BaseTrainConfig config = settings_of(model, options);
  const DocumentSourceOptions documents{.text_field = config.text_field,
                                        .skip_bad_shards = config.skip_bad_shards,
                                        .txt_separator = config.txt_separator};
  const DataSplit split = split_data(config.data, config.val_data, documents);
  const std::vector<int32_t> token_bytes = token_byte_counts(model.tokenizer);
  const TokenLoaderOptions loader{
      .device_batch_size = options.device_batch_size,
      .sequence_len = model.gpt->config().sequence_len,
      .packing = config.packing == "bestfit" ? Packing::kBestFit : Packing::kStream,
      .endless = false,
      .documents = documents};
  const int64_t tokens = loader.device_batch_size * loader.sequence_len;
  const int64_t batches = std::max<int64_t>(1, options.split_tokens / std::max<int64_t>(1, tokens));

  const InterruptGuard interrupts;
  Backend& backend = model.gpt->backend();
  Arena memory(backend.reserve_addresses());
  Tape tape(backend, memory);
  nlohmann::ordered_json result{{"model", model.found.name}};
  const auto evaluate = [&](const char* name, const std::vector<DataPart>& parts) {
    LoaderSource source(parts, model.tokenizer, loader, 1);
    Progress progress({.label = name, .unit = "batches"});
    int64_t done = 0;
    const BitsPerByte bpb = bits_per_byte(
        *model.gpt, tape,
        [&](Batch& batch) {
          interrupts.check();
          progress.update(done++);
          return source.try_next(batch);
        },
        batches, token_bytes);
    progress.finish();
    if (bpb.batches == 0) {
      throw DataError(
          "{}: fewer than the {} tokens of one batch: a smaller --device-batch-size "
          "will do",
          parts.front().file.string(), tokens + 1);
    }
    return bpb;
  };
  for (const bool is_val : {false, true}) {
    const char* const name = is_val ? "val" : "train";
    const BitsPerByte bpb = evaluate(name, is_val ? split.val : split.train);
    result[name] = {{"bpb", bpb.value()}, {"bytes", bpb.bytes}, {"tokens", bpb.tokens}};
    if (!common.json) {
      fmt::print("{:<5} {:.4f} bits per byte ({} tokens, {} bytes)\n", name, bpb.value(),
                 bpb.tokens, bpb.bytes);
    }
  }
  if (options.quantize == "int8") {
    round_weights(*model.gpt, WeightFormat::kInt8);
    const double before = result["val"]["bpb"];
    const double after = evaluate("int8", split.val).value();
    result["int8"] = {{"bpb", after}, {"loss", after - before}};
    if (!common.json) {
      fmt::print("int8  {:.4f} bits per byte of val with weights in 8 bits ({:+.4f})\n", after,
                 after - before);
    }
  }
  record_evaluation(common, model, "base-model-loss", result);
  if (common.json) print_json(result);
}

}  // namespace nanochat::cli
