#include "cli/loaded_model.h"

#include <utility>

#include "cli/tokenizer_store.h"
#include "core/error.h"
#include "core/log.h"
#include "ops/backend.h"
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

}  // namespace

LoadedModel load_model(const CommonOptions& common, const std::string& model,
                       const std::string& tokenizer, const std::string& dtype) {
  FoundModel found = find_model(common.base_dir, model);
  Checkpoint checkpoint(found.checkpoint, CheckpointUse::kModel);
  Tokenizer loaded = tokenizer_of(common, found, tokenizer);
  if (loaded.vocab_size() != checkpoint.config().vocab_size) {
    throw DataError("{} has {} tokens, the tokenizer {}: it was trained with another (--tokenizer)",
                    found.name, checkpoint.config().vocab_size, loaded.vocab_size());
  }
  auto gpt = std::make_unique<Gpt>(
      checkpoint.config(), cpu_backend(),
      GptOptions{.dtype = dtype_named(dtype, cpu_backend()), .trainable = false});
  checkpoint.load_model(*gpt);
  log_info("{}: {} layers, width {}, vocabulary {}; {}", found.name, gpt->config().n_layer,
           gpt->config().n_embd, gpt->config().vocab_size, name_of(gpt->options().dtype));
  return {std::move(found), std::move(checkpoint), std::move(loaded), std::move(gpt)};
}

}  // namespace nanochat::cli
