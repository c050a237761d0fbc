/// What a command leaves for nanochat report when it ends.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "cli/loaded_model.h"

namespace nanochat::cli {

struct SectionContents {
  std::string_view name;               ///< one of kSections in report/section.h
  std::string model{};                 ///< "sft:d4@300": what was made or measured
  std::filesystem::path checkpoint{};  ///< of that model
  nlohmann::ordered_json settings = nlohmann::ordered_json::object();
  nlohmann::ordered_json results = nlohmann::ordered_json::object();  ///< keys: report/section.h
};

/// Writes <base>/report/<name>.json, with the time since this process started. The command has done
/// its work: where the report cannot be written, that is a warning.
void record_section(const CommonOptions& common, SectionContents contents);

/// The same for a stage that has been trained, with the settings that its checkpoint tells.
void record_training(const CommonOptions& common, const std::string& stage, std::string model,
                     const std::filesystem::path& checkpoint,
                     const nlohmann::ordered_json& results);

/// The same for what has been measured of a model, if the section is for models of its stage: the
/// report has no place for the CORE of a chat model. "chat-evaluation" stands for the one of the
/// model's stage.
void record_evaluation(const CommonOptions& common, const LoadedModel& model, std::string name,
                       const nlohmann::ordered_json& results);

}  // namespace nanochat::cli
