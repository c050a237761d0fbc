#include "cli/data_synth.h"

#include <chrono>
#include <cmath>
#include <filesystem>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "cli/interrupt.h"
#include "cli/text_io.h"
#include "core/error.h"
#include "core/progress.h"
#include "data/synth/synth.h"

namespace nanochat::cli {
namespace {

namespace fs = std::filesystem;

synth::SynthOptions to_options(const DataSynthOptions& options) {
  synth::SynthOptions result;
  result.seed = static_cast<uint64_t>(options.seed);
  if (!(options.size_mb >= 0.01 && options.size_mb <= 1e6)) {
    throw UsageError("--size-mb {}: give from 0.01 to 1000000", options.size_mb);
  }
  result.size_bytes = std::llround(options.size_mb * 1e6);
  result.documents = options.documents;
  if (options.language == "en") result.language = synth::Language::kEnglish;
  if (options.language == "zh") result.language = synth::Language::kChinese;
  result.conversations = options.conversations;
  result.overwrite = options.overwrite;
  return result;
}

nlohmann::ordered_json kinds_json(const synth::SynthSummary& summary, synth::Language language) {
  nlohmann::ordered_json json;
  for (int kind = 0; kind < synth::kDocumentKinds; ++kind) {
    const synth::SynthCount& count =
        summary.counts[static_cast<size_t>(language)][static_cast<size_t>(kind)];
    json[std::string(name(static_cast<synth::DocumentKind>(kind)))] = {
        {"documents", count.documents}, {"bytes", count.bytes}};
  }
  return json;
}

}  // namespace

void run_data_synth(const CommonOptions& common, const DataSynthOptions& options) {
  const synth::SynthOptions world = to_options(options);
  const fs::path folder =
      options.out.empty() ? common.base_dir / "data" / "synth" : fs::path(options.out);

  const InterruptGuard interrupts;
  const auto start = std::chrono::steady_clock::now();
  Progress progress(
      {.label = "writing", .unit = "bytes", .total = world.documents > 0 ? 0 : world.size_bytes});
  const synth::SynthSummary summary = write_world(folder, world, [&](int64_t bytes) {
    interrupts.check();
    progress.update(bytes);
  });
  progress.finish();
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();

  const synth::SynthCount total = summary.total();
  if (common.json) {
    nlohmann::ordered_json files = nlohmann::ordered_json::array();
    for (const synth::SynthFile& file : summary.files) {
      files.push_back({{"name", file.name}, {"lines", file.lines}, {"bytes", file.bytes}});
    }
    print_json({{"path", folder.string()},
                {"was_there", summary.was_there},
                {"seed", options.seed},
                {"language", options.language},
                {"documents", total.documents},
                {"bytes", total.bytes},
                {"en", kinds_json(summary, synth::Language::kEnglish)},
                {"zh", kinds_json(summary, synth::Language::kChinese)},
                {"files", std::move(files)},
                {"seconds", seconds}});
    return;
  }
  if (summary.was_there) {
    fmt::print("{}: this world is there already\n", folder.string());
    return;
  }
  fmt::print("{} documents, {:.1f} MB of text to train on, in {:.1f}s\n", total.documents,
             static_cast<double>(total.bytes) / 1e6, seconds);
  fmt::print("saved in {}\n", folder.string());
}

}  // namespace nanochat::cli
