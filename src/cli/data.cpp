/// nanochat data ...: the group; what each command takes is parsed beside what it does
/// (data_<command>_args.cpp).
#include "cli/command_line.h"

namespace nanochat::cli {

void add_data_commands(CLI::App& app, CommonOptions& common, Action& action) {
  CLI::App& data = *app.add_subcommand("data", "texts to train on: find, fetch, convert, make");
  data.require_subcommand(1);
  add_data_tokenize_command(data, common, action);
  add_data_synth_command(data, common, action);
  add_data_download_commands(data, common, action);
  add_data_convert_command(data, common, action);
  add_data_identity_command(data, common, action);
}

}  // namespace nanochat::cli
