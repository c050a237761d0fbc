/// The command line: parsing, and the one place where errors become exit codes (core/error.h).
/// What commands do is in a file for each; what they take, in the few files that include
/// command_line.h.
#include <algorithm>
#include <csignal>
#include <new>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cli/command_line.h"
#include "cli/commands.h"
#include "cli/config_file.h"
#include "cli/interrupt.h"
#include "cli/text_io.h"
#include "core/error.h"
#include "core/file.h"
#include "core/log.h"
#include "core/parallel.h"

namespace nanochat::cli {

void add_common_options(CLI::App& command, CommonOptions& options) {
  // Through a string: CLI11 would take a path apart at its spaces.
  command.add_option_function<std::string>(
      "--base-dir", [&options](const std::string& dir) { options.base_dir = dir; },
      "where files are kept (else $NANOCHAT_BASE_DIR, else ~/.cache/nanochat)");
  command.add_option("--threads", options.threads, "CPU threads (default: one per usable core)")
      ->check(CLI::Range(1, 1024));
  command.add_option("--config", options.config, "flags from a TOML file; those given here win")
      ->type_name("FILE.toml");
  command.add_flag("--json", options.json, "print the result as one JSON object");
  command.add_flag("--quiet", options.quiet, "say nothing but warnings and errors on stderr");
}

namespace {

constexpr std::string_view kHelpHint = "nanochat --help lists the commands";

void apply(CommonOptions& options) {
  options.base_dir = resolve_base_dir(options.base_dir);
  if (options.threads > 0) set_num_threads(options.threads);
  console().set_quiet(options.quiet);
}

/// CLI11's messages span lines and end where advice would begin.
std::string one_line(std::string text) {
  for (char& c : text) {
    if (c == '\n') c = ' ';
  }
  while (!text.empty() && (text.back() == ' ' || text.back() == '.')) text.pop_back();
  return text;
}

/// Throws for a first word that is no command, or a second that is none of a group's: CLI11 would
/// complain of something else.
void check_command_words(const CLI::App& app, int argc, char** argv) {
  const CLI::App* at = &app;
  for (int i = 1; i < argc && argv[i][0] != '-'; ++i) {
    const auto commands = at->get_subcommands([](const CLI::App*) { return true; });
    if (commands.empty()) return;
    const auto found = std::ranges::find_if(
        commands, [&](const CLI::App* command) { return command->get_name() == argv[i]; });
    if (found == commands.end()) {
      if (at == &app) throw UsageError("unknown command '{}': {}", argv[i], kHelpHint);
      throw UsageError("unknown command '{0} {1}': nanochat {0} --help lists them", at->get_name(),
                       argv[i]);
    }
    at = *found;
  }
}

void run(int argc, char** argv) {
  CLI::App app("nanochat: from raw text to your own ChatGPT, in one native program.", "nanochat");
  app.set_version_flag("--version", "nanochat " NANOCHAT_VERSION);
  app.require_subcommand(0, 1);

  CommonOptions common;
  for (int i = 0; i < argc; ++i) {
    if (i > 0) common.command_line += ' ';
    common.command_line += argv[i];
  }
  Action action;
  CLI::App& info = *app.add_subcommand("info", "what this build and this machine have");
  add_common_options(info, common);
  info.final_callback([&] { action = [&] { run_info(common); }; });
  add_plan_command(app, common, action);
  add_tok_commands(app, common, action);
  add_data_commands(app, common, action);
  add_task_commands(app, common, action);
  add_train_commands(app, common, action);
  add_model_commands(app, common, action);
  add_bench_commands(app, common, action);
  add_chat_command(app, common, action);
  add_serve_command(app, common, action);
  add_report_command(app, common, action);
  add_speedrun_command(app, common, action);

  check_command_words(app, argc, argv);
  try {
    std::vector<std::string> arguments =
        with_config_file(app, std::vector<std::string>(argv + 1, argv + argc));
    std::ranges::reverse(arguments);  // CLI11 takes them from the back
    app.parse(std::move(arguments));
  } catch (const CLI::Success& asked) {  // --help, --version: prints to stdout
    app.exit(asked);
    return;
  } catch (const CLI::ParseError& e) {
    std::string command;
    for (const CLI::App* at = &app; !at->get_subcommands().empty();) {
      at = at->get_subcommands().front();
      command += at->get_name() + " ";
    }
    throw UsageError("{}: nanochat {}--help says more", one_line(e.what()), command);
  }
  if (!action) throw UsageError("no command given: {}", kHelpHint);

  apply(common);
  action();
}

}  // namespace
}  // namespace nanochat::cli

int main(int argc, char** argv) {
  using nanochat::ExitCode;
  ExitCode code = ExitCode::kOk;
  std::signal(SIGPIPE, SIG_IGN);  // a reader that went away is an IoError, not a silent death
  std::signal(SIGXFSZ, SIG_IGN);  // and so is a file that reached the limit (ulimit -f)
  try {
    nanochat::cli::run(argc, argv);
    nanochat::cli::flush_stdout();
  } catch (const nanochat::Error& e) {
    nanochat::log_error("{}", e.what());
    code = e.exit_code();
  } catch (const nanochat::cli::Interrupted& e) {
    nanochat::log_error("{}", e.what());
    return e.exit_code();
  } catch (const std::bad_alloc&) {
    nanochat::log_error("out of memory");
    code = ExitCode::kOutOfMemory;
  } catch (const std::exception& e) {
    nanochat::log_error("a bug of ours: {}", e.what());
    return 1;
  }
  return static_cast<int>(code);
}
