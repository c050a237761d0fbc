#include "cli/train.h"

#include <algorithm>
#include <set>
#include <sstream>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "cli/command_line.h"
#include "cli/option_types.h"

namespace nanochat::cli {
namespace {

/// A flag for each setting, by the type of its field.
class SettingFlags {
 public:
  explicit SettingFlags(CLI::App& command) : command_(command) {}

  void operator()(const SettingInfo& info, int64_t& value) {
    finish(info, add_count(command_, flag(info), value, info.help, /*minus_one=*/true));
  }
  void operator()(const SettingInfo& info, double& value) {
    finish(
        info,
        command_.add_option(flag(info), value, info.help)->default_str(fmt::format("{}", value)));
  }
  void operator()(const SettingInfo& info, bool& value) {
    command_.add_flag(flag(info), value, info.help)->group(info.group);
  }
  void operator()(const SettingInfo& info, std::string& value) {
    CLI::Option* const option = command_.add_option_function<std::string>(
        flag(info),
        [&value, is_separator = info.name == std::string("txt-separator")](
            const std::string& text) { value = is_separator ? unescaped(text) : text; },
        info.help);
    if (!value.empty()) option->default_str(value);
    std::set<std::string> words;
    std::istringstream type(info.type);
    for (std::string word; std::getline(type, word, '|');) words.insert(word);
    // "auto|f32|bf16" lists the values; "NAME|PATH" stands for them.
    if (words.size() > 1 && std::islower(static_cast<unsigned char>(*info.type))) {
      option->check(one_of(words));
    }
    finish(info, option);
  }
  void operator()(const SettingInfo& info, std::vector<std::string>& value) {
    CLI::Option* const option = command_.add_option(flag(info), value, info.help)
                                    ->expected(1, -1)
                                    ->type_name(info.type)
                                    ->group(info.group);
    // Sentences would fill the screen.
    const auto is_word = [](const std::string& s) { return s.find(' ') == std::string::npos; };
    if (!value.empty() && std::ranges::all_of(value, is_word)) {
      option->default_str(fmt::format("{}", fmt::join(value, " ")));
    }
  }

 private:
  static std::string flag(const SettingInfo& info) { return fmt::format("--{}", info.name); }
  static void finish(const SettingInfo& info, CLI::Option* option) {
    option->type_name(info.type)->group(info.group)->take_last();  // scripts add to a command
  }

  CLI::App& command_;
};

/// A command for a stage: its settings, and what every stage takes.
template <typename Options, typename Run>
void add_stage(CLI::App& train, const char* stage, const char* help, const char* default_name,
               CommonOptions& common, Action& action, std::shared_ptr<Options> o, Run run) {
  CLI::App& command = add_command(train, stage, help, common, action, o, run);
  for_each_setting(o->config, SettingFlags(command));
  const char* const kRun = "Checkpoints";
  command
      .add_option(
          "--run", o->run.run,
          fmt::format("name of the run: <base>/runs/{}/NAME (default: {})", stage, default_name))
      ->type_name("NAME")
      ->group(kRun);
  command
      .add_option("--resume", o->run.resume,
                  "go on from a checkpoint of the run, to the bit; latest starts from the "
                  "beginning when there is none yet")
      ->type_name("latest|STEP")
      ->group(kRun);
  command
      .add_flag("--overwrite", o->run.overwrite,
                "delete the checkpoints of an earlier run of this name")
      ->group(kRun);
  add_count(command, "--profile", o->run.profile,
            "write a trace of so many steps (trace.json, for Perfetto or chrome://tracing)")
      ->type_name("STEPS")
      ->group("Machine");
  add_common_options(command, common);
}

}  // namespace

void add_train_commands(CLI::App& app, CommonOptions& common, Action& action) {
  CLI::App& train = *app.add_subcommand("train", "train a model");
  train.require_subcommand(1);
  add_stage(train, "base", "pretrain a model on text", "d and the depth", common, action,
            std::make_shared<TrainBaseOptions>(), run_train_base);
  const char* const kSourceName = "the source's name";
  add_stage(train, "mid", "midtrain a base model on conversations, every token of them",
            kSourceName, common, action,
            std::make_shared<TrainFinetuneOptions>(
                TrainFinetuneOptions{.stage = "mid", .config = mid_defaults(), .run = {}}),
            run_train_finetune);
  add_stage(train, "sft", "finetune a model on conversations: on what the assistant says",
            kSourceName, common, action,
            std::make_shared<TrainFinetuneOptions>(
                TrainFinetuneOptions{.stage = "sft", .config = sft_defaults(), .run = {}}),
            run_train_finetune);
  add_stage(train, "rl", "reinforcement learning on questions that have a reward", kSourceName,
            common, action, std::make_shared<TrainRlOptions>(), run_train_rl);
}

}  // namespace nanochat::cli
