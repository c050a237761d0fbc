#include "cli/report_section.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "core/error.h"
#include "core/log.h"
#include "core/process_time.h"
#include "report/section.h"
#include "train/checkpoint.h"

namespace nanochat::cli {

void record_section(const CommonOptions& common, SectionContents contents) {
  const double now =
      std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
  const double seconds = seconds_since_process_start();
  try {
    write_section(common.base_dir, {.name = std::string(contents.name),
                                    .model = std::move(contents.model),
                                    .model_id = checkpoint_id(contents.checkpoint),
                                    .command = common.command_line,
                                    .started = now - seconds,
                                    .finished = now,
                                    .seconds = seconds,
                                    .settings = std::move(contents.settings),
                                    .results = std::move(contents.results)});
  } catch (const Error& e) {
    log_warning("not in the report: {}", e.what());
  }
}

void record_training(const CommonOptions& common, const std::string& stage, std::string model,
                     const std::filesystem::path& checkpoint,
                     const nlohmann::ordered_json& results) {
  const auto* const info = std::ranges::find_if(
      kSections, [&](const SectionInfo& s) { return s.trains && s.stage == stage; });
  NC_CHECK(info != kSections.end(), "no section for stage {}", stage);
  const Checkpoint saved(checkpoint, CheckpointUse::kState);
  record_section(common, {.name = info->name,
                          .model = std::move(model),
                          .checkpoint = checkpoint,
                          .settings = saved.state().value("settings", nlohmann::ordered_json()),
                          .results = results});
}

void record_evaluation(const CommonOptions& common, const LoadedModel& model, std::string name,
                       const nlohmann::ordered_json& results) {
  const std::string stage = model.checkpoint.state().value("stage", "");
  if (name == "chat-evaluation") name += "-" + stage;
  const SectionInfo* const info = find_section_info(name);
  if (info == nullptr || info->stage != stage) return;
  record_section(common, {.name = name,
                          .model = model.found.name,
                          .checkpoint = model.found.checkpoint,
                          .results = results});
}

}  // namespace nanochat::cli
