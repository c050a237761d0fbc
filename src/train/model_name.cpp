#include "train/model_name.h"

#include <algorithm>
#include <charconv>
#include <system_error>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "core/error.h"
#include "train/run_folder.h"

namespace nanochat {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kForm = "a model is named stage:tag@step, for example base:d4@1200";

std::optional<int64_t> parse_number(std::string_view text) {
  int64_t n = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), n);
  if (error != std::errc() || end != text.data() + text.size() || n < 0) return std::nullopt;
  return n;
}

bool is_path(std::string_view name) {
  return name.find('/') != std::string_view::npos || name == "." || name == "..";
}

/// "d12_feb" -> 12; -1 for a name of another kind.
int64_t depth_in(std::string_view tag) {
  if (!tag.starts_with('d')) return -1;
  const std::string_view rest = tag.substr(1);
  return parse_number(rest.substr(0, rest.find_first_not_of("0123456789"))).value_or(-1);
}

/// A run that has a checkpoint.
struct Run {
  std::string tag;
  fs::file_time_type changed;  // the folder: when its last checkpoint came or went
};

/// By tag.
std::vector<Run> runs_of(const fs::path& base_dir, std::string_view stage) {
  std::vector<Run> runs;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(base_dir / "runs" / stage, error)) {
    std::error_code ignored;
    if (!entry.is_directory(ignored) || list_checkpoints(entry.path()).empty()) continue;
    runs.push_back({entry.path().filename().string(), fs::last_write_time(entry.path(), ignored)});
  }
  std::ranges::sort(runs, {}, &Run::tag);
  return runs;
}

/// "(there: base:d4, sft:d4)", or that there are none.
std::string what_there_is(const fs::path& base_dir) {
  std::vector<std::string> names;
  for (const std::string_view stage : kStages) {
    for (const Run& run : runs_of(base_dir, stage)) {
      names.push_back(fmt::format("{}:{}", stage, run.tag));
    }
  }
  if (names.empty()) {
    return fmt::format("there are none in {}; nanochat train base makes one",
                       (base_dir / "runs").string());
  }
  return fmt::format("there: {}", fmt::join(names, ", "));
}

std::string default_tag(const std::vector<Run>& runs) {
  return std::ranges::max(runs, {},
                          [](const Run& run) { return std::pair(depth_in(run.tag), run.changed); })
      .tag;
}

FoundModel find_in_run(const fs::path& run, std::optional<int64_t> step, const std::string& name) {
  const std::vector<int64_t> steps = list_checkpoints(run);
  if (steps.empty()) {
    std::error_code ignored;
    throw NotFoundError("{}: {}", run.string(),
                        fs::exists(run, ignored) ? "holds no complete checkpoint"
                                                 : "there is no such run or checkpoint");
  }
  const int64_t chosen = step.value_or(steps.back());
  if (!std::ranges::binary_search(steps, chosen)) {
    throw NotFoundError("{}: has no checkpoint of step {} (there: {})", name, chosen,
                        fmt::join(steps, ", "));
  }
  return {.checkpoint = run / checkpoint_name(chosen), .run = run, .step = chosen, .name = name};
}

FoundModel find_path(const std::string& name) {
  fs::path path = name;
  std::optional<int64_t> step;
  std::error_code ignored;
  const size_t at = name.rfind('@');
  if (at != std::string::npos && !fs::exists(path, ignored)) {
    step = parse_number(std::string_view(name).substr(at + 1));
    if (step) path = name.substr(0, at);
  }
  path = path.lexically_normal();
  if (!path.has_filename()) path = path.parent_path();  // "runs/mine/"
  if (!step && fs::exists(path / kManifestFileName, ignored)) {
    const auto named = parse_checkpoint_name(fs::absolute(path).filename().string());
    return {.checkpoint = path,
            .run = fs::absolute(path).parent_path(),
            .step = named.value_or(0),
            .name = path.string()};
  }
  FoundModel found = find_in_run(path, step, path.string());
  found.name = found.checkpoint.string();
  return found;
}

}  // namespace

ModelName parse_model_name(std::string_view name) {
  ModelName parsed;
  std::string_view rest = name;
  if (const size_t at = rest.rfind('@'); at != std::string_view::npos) {
    parsed.step = parse_number(rest.substr(at + 1));
    if (!parsed.step) {
      throw UsageError("'{}': '{}' is no step: {}", name, rest.substr(at + 1), kForm);
    }
    rest = rest.substr(0, at);
  }
  if (const size_t colon = rest.find(':'); colon != std::string_view::npos) {
    parsed.tag = rest.substr(colon + 1);
    rest = rest.substr(0, colon);
    if (parsed.tag.empty() || parsed.tag.find(':') != std::string::npos) {
      throw UsageError("'{}' has no tag or two: {}", name, kForm);
    }
  }
  parsed.stage = rest;
  if (!parsed.stage.empty() && std::ranges::find(kStages, rest) == kStages.end()) {
    throw UsageError("'{}': '{}' is no stage (base, mid, sft, rl): {}", name, rest, kForm);
  }
  return parsed;
}

fs::path run_folder_of(const fs::path& base_dir, std::string_view stage, std::string_view tag) {
  if (tag.empty() || tag.starts_with('.') || tag.find_first_of("/:@") != std::string_view::npos) {
    throw UsageError("'{}' cannot name a run: use letters, digits, '_' and '-'", tag);
  }
  return base_dir / "runs" / stage / tag;
}

FoundModel find_model(const fs::path& base_dir, const std::string& name) {
  if (is_path(name)) return find_path(name);
  ModelName wanted = parse_model_name(name);
  for (const std::string_view stage : kStages) {
    if (!wanted.stage.empty() && wanted.stage != stage) continue;
    const std::vector<Run> runs = runs_of(base_dir, stage);
    if (runs.empty()) continue;
    const std::string tag = wanted.tag.empty() ? default_tag(runs) : wanted.tag;
    if (std::ranges::find(runs, tag, &Run::tag) == runs.end()) continue;
    FoundModel found = find_in_run(run_folder_of(base_dir, stage, tag), wanted.step,
                                   fmt::format("{}:{}", stage, tag));
    found.name = fmt::format("{}:{}@{}", stage, tag, found.step);
    return found;
  }
  throw NotFoundError("no model{} ({})", name.empty() ? "" : fmt::format(" '{}'", name),
                      what_there_is(base_dir));
}

}  // namespace nanochat
