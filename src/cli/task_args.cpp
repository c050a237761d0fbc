#include <memory>

#include "cli/command_line.h"
#include "cli/option_types.h"
#include "cli/task.h"

namespace nanochat::cli {

void add_task_commands(CLI::App& app, CommonOptions& common, Action& action) {
  CLI::App& group = *app.add_subcommand("task", "what models are taught and examined with");
  group.require_subcommand(1);
  CLI::App& list = add_command(group, "list", "all tasks", common, action,
                               std::make_shared<TaskListOptions>(), run_task_list);
  add_common_options(list, common);

  const auto o = std::make_shared<TaskShowOptions>();
  CLI::App& show =
      add_command(group, "show", "examples of one task", common, action, o, run_task_show);
  show.add_option("spec", o->spec, "NAME[:SPLIT][:COUNT][*TIMES], or a .jsonl of your own")
      ->type_name("SPEC")
      ->required();
  add_count(show, "-n,--num-examples", o->n, "how many");
  add_count(show, "--start", o->start, "the first of them");
  add_task_data(show, o->task_data);
  add_common_options(show, common);
}

void add_data_identity_command(CLI::App& data, CommonOptions& common, Action& action) {
  const auto o = std::make_shared<DataIdentityOptions>();
  CLI::App& identity = add_command(
      data, "identity",
      "write the conversations that teach a model who it is, to edit them; the task `identity` "
      "takes the file in the base folder",
      common, action, o, run_data_identity);
  identity.add_option("--name", o->name, "what the model calls itself")
      ->type_name("NAME")
      ->capture_default_str();
  identity.add_option("--out", o->out, "the file (default: <base>/identity_conversations.jsonl)")
      ->type_name("FILE");
  identity.add_flag("--overwrite", o->overwrite, "replace a file that is there");
  add_common_options(identity, common);
}

}  // namespace nanochat::cli
