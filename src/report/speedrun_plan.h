/// The stages of a speedrun, as commands of this program: from nothing to a chat model and its
/// report. Presets are tables in the .cpp file.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "train/plan.h"

namespace nanochat {

struct SpeedrunStage {
  std::string name;  ///< "base", "eval-sft"
  /// Of nanochat, without the program and --base-dir. {base} stands for the base folder.
  std::vector<std::string> command;
  std::vector<std::string> needs{};  ///< stages whose output it reads
  std::string section{};             ///< what it leaves for the report; empty: nothing
  std::string output{};  ///< the folder that it fills, below the base folder; empty: none
  bool trains = false;   ///< a model: the command takes --resume and --overwrite
  double tokens = 0;     ///< that are trained on, about; for its time and cost
};

struct SpeedrunPlan {
  std::string preset, what;
  bool for_gpu = false;
  PlanOptions base;  ///< of pretraining, for its time and cost
  std::vector<SpeedrunStage> stages;
  std::string chat_model;  ///< what to talk to at the end: "sft:tiny"
};

struct SpeedrunChoice {
  std::string preset = "tiny";
  std::vector<std::string> data{};  ///< texts in place of the preset's
  bool rl = false;                  ///< reinforcement learning also where the preset leaves it out
};

struct PresetInfo {
  std::string_view name, what;
};
[[nodiscard]] std::span<const PresetInfo> speedrun_presets();

/// Throws UsageError for a preset that is not known, naming those that are.
[[nodiscard]] SpeedrunPlan make_speedrun_plan(const SpeedrunChoice& choice);

/// "train base --sample-prompt 'Once upon a time'": for people to paste into a shell.
[[nodiscard]] std::string shell_text(std::span<const std::string> words);

}  // namespace nanochat
