/// What the commands leave for the report when they end: <base>/report/<section>.json, one file for
/// each section.
///
///   {
///   "format": "nanochat-report-section", "version": 1,
///   "section": "base-model-training", "title": "Base model training",
///   "model": "base:d20@21400",        what was made or measured; empty for a tokenizer's
///   "model_id": "0123456789abcdef",   which weights these were: checkpoint_id()
///   "command": "nanochat train base --depth 20",
///   "started": "2026-01-31T10:00:00Z", "finished": "2026-01-31T14:00:00Z", "seconds": 14400.0,
///   "settings": {...}, "results": {...}
///   }
///
/// Keys of results that the summary reads, all optional:
///   core_metric    CORE, the mean of all tasks; with core_metric_error, its standard error
///   chatcore       ChatCORE; with chatcore_error, and chatcore_tasks, the names it is the mean of
///   tasks          {"GSM8K": {"accuracy": 0.25, "examples": 1319, "baseline": 0, "centered":
///   0.25}} val_bpb, num_params, tokens, flops, tokens_per_second, mfu
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "eval/score.h"

namespace nanochat {

struct SectionInfo {
  std::string_view name, title;
  std::string_view stage;  ///< base, mid, sft or rl; empty: the tokenizer's
  bool trains = false;     ///< a model; else it evaluates
};

/// In the order of the report. Names and titles are upstream's.
inline constexpr std::array<SectionInfo, 11> kSections{{
    {"tokenizer-training", "Tokenizer training", ""},
    {"tokenizer-evaluation", "Tokenizer evaluation", ""},
    {"base-model-training", "Base model training", "base", true},
    {"base-model-loss", "Base model loss", "base"},
    {"base-model-evaluation", "Base model evaluation", "base"},
    {"midtraining", "Midtraining", "mid", true},
    {"chat-evaluation-mid", "Chat evaluation mid", "mid"},
    {"chat-sft", "Chat SFT", "sft", true},
    {"chat-evaluation-sft", "Chat evaluation sft", "sft"},
    {"chat-rl", "Chat RL", "rl", true},
    {"chat-evaluation-rl", "Chat evaluation rl", "rl"},
}};
/// Nothing for a name that is none of these.
[[nodiscard]] const SectionInfo* find_section_info(std::string_view name);

struct Section {
  std::string name;  ///< of kSections
  std::string model{}, model_id{};
  std::string command{};
  double started = 0, finished = 0;  ///< seconds since 1970
  double seconds = 0;                ///< of work; with what a merged one took
  nlohmann::ordered_json settings = nlohmann::ordered_json::object();
  nlohmann::ordered_json results = nlohmann::ordered_json::object();
};

/// Tells one training's weights from another's under the same name: the hash that the checkpoint's
/// manifest ends with. Empty when the folder is no checkpoint.
[[nodiscard]] std::string checkpoint_id(const std::filesystem::path& checkpoint);

/// <base>/report/<name>.json.
[[nodiscard]] std::filesystem::path section_file(const std::filesystem::path& base_dir,
                                                 std::string_view name);

/// Writes the section, whole or not at all, in place of an earlier one. Results of single tasks add
/// to those that an earlier evaluation of the same weights has left: see merge_results.
/// Throws IoError.
void write_section(const std::filesystem::path& base_dir, Section section);
/// Nothing when there is none. Throws DataError for a file that is no section, IoError.
[[nodiscard]] std::optional<Section> read_section(const std::filesystem::path& base_dir,
                                                  std::string_view name);
/// All there are, in order. What cannot be read is told in `problems`.
[[nodiscard]] std::vector<Section> read_sections(const std::filesystem::path& base_dir,
                                                 std::vector<std::string>& problems);
/// Removes all sections, report.md and report.html. Throws IoError.
void remove_report(const std::filesystem::path& base_dir);

/// Tasks of `before` that `now` does not have join it. Means are computed again from the joined
/// tasks: core_metric, and every "x" for which `before` has "x_tasks", such as chatcore.
void merge_results(const nlohmann::ordered_json& before, nlohmann::ordered_json& now);

/// "2026-01-31T10:00:00Z".
[[nodiscard]] std::string iso_time(double seconds_since_1970);

/// The number under a key; nothing when it is absent, null or something else.
[[nodiscard]] std::optional<double> number_at(const nlohmann::ordered_json& json,
                                              std::string_view key);

/// In the order they stand in results.tasks, as scores_json wrote them; those without an accuracy
/// or a number of examples are left out.
[[nodiscard]] std::vector<EvalScore> task_scores(const nlohmann::ordered_json& results);

}  // namespace nanochat
