#include <memory>

#include "cli/command_line.h"
#include "cli/option_types.h"
#include "cli/speedrun.h"

namespace nanochat::cli {

void add_speedrun_command(CLI::App& app, CommonOptions& common, Action& action) {
  const auto o = std::make_shared<SpeedrunOptions>();
  CLI::App& speedrun =
      add_command(app, "speedrun",
                  "every stage, from nothing to a chat model and its report; what is done already "
                  "is skipped",
                  common, action, o, run_speedrun);
  std::set<std::string> names;
  std::string type, help;
  for (const PresetInfo& preset : speedrun_presets()) {
    names.emplace(preset.name);
    type += type.empty() ? "" : "|";
    type += preset.name;
    help += help.empty() ? "" : "; ";
    help.append(preset.name).append(": ").append(preset.what);
  }
  speedrun.add_option("--preset", o->choice.preset, help)
      ->check(one_of(names))
      ->type_name(type)
      ->capture_default_str();
  speedrun
      .add_option("--data", o->choice.data,
                  "texts to train on in place of the preset's: files, folders or globs")
      ->type_name("PATH...");
  speedrun.add_flag("--rl", o->choice.rl,
                    "reinforcement learning too, where the preset leaves it out");
  speedrun.add_option("--from", o->from, "begin with this stage; what it needs is to be there")
      ->type_name("STAGE");
  speedrun.add_option("--until", o->until, "end with this stage")->type_name("STAGE");
  speedrun.add_flag("--dry-run", o->dry_run,
                    "show the stages, what state they are in, and about how long training takes "
                    "and what it costs on the device below");
  add_plan_device_options(speedrun, o->machine);
  add_common_options(speedrun, common);
}

}  // namespace nanochat::cli
