#include "cli/train_source.h"

#include <optional>

#include "cli/tokenizer_store.h"
#include "core/error.h"
#include "core/log.h"
#include "train/model_name.h"

namespace nanochat::cli {
namespace {

namespace fs = std::filesystem;

/// No name: what the stage goes on from, the furthest first.
FoundModel find_default(const CommonOptions& common, const std::string& stage) {
  if (stage == "sft") {
    try {
      return find_model(common.base_dir, "mid");
    } catch (const NotFoundError&) {  // midtraining may be left out
    }
  }
  return find_model(common.base_dir, stage == "rl" ? "sft" : "base");
}

std::optional<Tokenizer> kept_tokenizer(const CommonOptions& common, const fs::path& run) {
  try {
    return load_tokenizer(common, (run / "").string());
  } catch (const NotFoundError&) {
    return std::nullopt;
  }
}

}  // namespace

StageSource find_source(const CommonOptions& common, const std::string& stage,
                        const SourceSettings& settings, const RunFlags& flags) {
  std::optional<FoundModel> found;
  const auto find = [&] {
    found = settings.source.empty() ? find_default(common, stage)
                                    : find_model(common.base_dir, settings.source);
  };
  if (flags.run.empty()) find();
  const std::string name = flags.run.empty() ? fs::path(found->run).filename().string() : flags.run;
  const fs::path folder = stage_folder(common, stage, name);
  const bool is_resumed = !flags.resume.empty() && latest_checkpoint(folder);
  if (!is_resumed && !found) find();
  const fs::path kept_with = is_resumed ? folder : found->run;
  std::optional<Tokenizer> tokenizer = kept_tokenizer(common, kept_with);
  if (!settings.tokenizer.empty()) {
    Tokenizer named = load_tokenizer(common, settings.tokenizer);
    if (tokenizer && !(tokenizer->vocabulary() == named.vocabulary())) {
      throw UsageError(
          "--tokenizer {}: {} was trained with another, which is kept there: leave the "
          "flag out",
          settings.tokenizer, kept_with.string());
    }
    tokenizer = std::move(named);
  }
  if (!tokenizer) {
    throw NotFoundError(
        "{}: no tokenizer is kept there: name the one it was trained with (--tokenizer)",
        kept_with.string());
  }
  return {name, is_resumed ? fs::path() : found->checkpoint, is_resumed ? "" : found->name,
          std::move(*tokenizer)};
}

}  // namespace nanochat::cli
