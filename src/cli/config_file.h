/// --config FILE.toml: flags that stand in a file.
#pragma once

#include <string>
#include <vector>

#include "cli/command_line.h"

namespace nanochat::cli {

/// The command line with the keys of its --config file put in as flags, behind the words of the
/// command. A flag that the command line gives itself wins over the file, as a whole: a list is
/// not added to.
///
/// The file is TOML. A key is a flag without its dashes ("eval-every" or "eval_every"), true or
/// false turns a switch on or leaves it off, an array repeats a flag. Keys that stand before the
/// first table are for any command; those of a table ("[train.base]") only for the command of that
/// name, so that one file can serve a whole run.
///
/// Throws NotFoundError, and DataError naming the file and the line for what is not TOML;
/// UsageError for a key that the command does not know or a table that is no command.
[[nodiscard]] std::vector<std::string> with_config_file(const CLI::App& app,
                                                        std::vector<std::string> arguments);

}  // namespace nanochat::cli
