#include "cli/data_convert.h"

#include <optional>
#include <string>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "cli/interrupt.h"
#include "cli/text_io.h"
#include "core/error.h"
#include "core/log.h"
#include "core/progress.h"
#include "data/converter.h"

namespace nanochat::cli {
namespace {

constexpr int64_t kLookEvery = 256;  // documents between two looks at the clock

void check_positive(const char* flag, int64_t value) {
  if (value <= 0) throw UsageError("{} is {}: it must be at least 1", flag, value);
}

std::string size_text(double value, const char* unit) { return format_count(value) + unit; }

nlohmann::ordered_json to_json(const ConvertReport& report, const DataConvertOptions& options) {
  nlohmann::ordered_json shards = nlohmann::ordered_json::array();
  for (const ConvertedShard& shard : report.shards) {
    shards.push_back({{"path", shard.path.string()},
                      {"documents", shard.documents},
                      {"characters", shard.characters},
                      {"bytes", shard.bytes}});
  }
  return {{"path", options.out},
          {"shuffled", !options.no_shuffle},
          {"seed", options.seed},
          {"files", report.files},
          {"skipped_files", report.skipped.size()},
          {"documents", report.documents},
          {"characters", report.characters},
          {"repaired_documents", report.repaired_documents},
          {"shards", std::move(shards)}};
}

}  // namespace

void run_data_convert(const CommonOptions& common, const DataConvertOptions& options) {
  check_positive("--shard-chars", options.shard_chars);
  check_positive("--row-group", options.row_group);
  check_positive("--memory", options.memory_bytes);
  const DocumentSourceOptions source{.text_field = options.text_field,
                                     .skip_bad_shards = options.skip_bad_shards,
                                     .txt_separator = options.txt_separator};
  const ConvertOptions how{.out = options.out,
                           .shuffle = !options.no_shuffle,
                           .seed = static_cast<uint64_t>(options.seed),
                           .shard_chars = options.shard_chars,
                           .row_group = options.row_group,
                           .memory_bytes = options.memory_bytes};
  const InterruptGuard interrupts;
  std::optional<Progress> progress;
  ConvertPhase shown{};
  const auto report = convert_documents(
      options.data, source, how, [&](ConvertPhase phase, int64_t done, int64_t total) {
        if (!progress || phase != shown) {
          progress.emplace(
              Progress::Options{.label = phase == ConvertPhase::kReading ? "reading" : "writing",
                                .unit = "documents",
                                .total = total,
                                .plain_every = std::chrono::seconds(60)});
          shown = phase;
        }
        if (done % kLookEvery != 0) return;
        interrupts.check();
        progress->update(done);
      });
  progress.reset();

  for (const std::string& reason : report.skipped) log_warning("skipped: {}", reason);
  if (report.repaired_documents > 0) {
    log_warning("{} documents were not valid UTF-8: what was not became U+FFFD",
                report.repaired_documents);
  }
  if (report.shards.size() == 1) {
    log_warning("there is one document only, so there is no second shard for validation");
  }
  if (common.json) return print_json(to_json(report, options));
  const ConvertedShard& last = report.shards.back();
  fmt::print("{} shards, {} documents, {} characters, in {}\n", report.shards.size(),
             report.documents, size_text(static_cast<double>(report.characters), ""), options.out);
  fmt::print("the last one, {}, is for validation: {} documents, {} characters\n",
             last.path.filename().string(), last.documents,
             size_text(static_cast<double>(last.characters), ""));
}

}  // namespace nanochat::cli
