/// The command line: parsing, and the one place where errors become exit codes (core/error.h).
/// CLI11 takes seconds to compile and stays in this file; each command has a file of its own.
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <new>
#include <string>
#include <string_view>

#include <CLI/CLI.hpp>

#include "cli/commands.h"
#include "core/error.h"
#include "core/file.h"
#include "core/log.h"
#include "core/parallel.h"

namespace nanochat::cli {
namespace {

constexpr std::string_view kHelpHint = "nanochat --help lists the commands";

void add_common_options(CLI::App& command, CommonOptions& options) {
  // Through a string: CLI11 would take a path apart at its spaces.
  command.add_option_function<std::string>(
      "--base-dir", [&options](const std::string& dir) { options.base_dir = dir; },
      "where files are kept (else $NANOCHAT_BASE_DIR, else ~/.cache/nanochat)");
  command.add_option("--threads", options.threads, "CPU threads (default: one per usable core)")
      ->check(CLI::Range(1, 1024));
  command.add_flag("--json", options.json, "print the result as one JSON object");
  command.add_flag("--quiet", options.quiet, "say nothing but warnings and errors on stderr");
}

void apply(CommonOptions& options) {
  options.base_dir = resolve_base_dir(options.base_dir);
  if (options.threads > 0) set_num_threads(options.threads);
  console().set_quiet(options.quiet);
}

/// A result that did not reach its reader is an error: the disk may be full.
void flush_stdout() {
  if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) {
    throw_errno("write", "standard output", errno != 0 ? errno : EIO);
  }
}

/// CLI11's messages span lines and end where advice would begin.
std::string one_line(std::string text) {
  for (char& c : text) {
    if (c == '\n') c = ' ';
  }
  while (!text.empty() && (text.back() == ' ' || text.back() == '.')) text.pop_back();
  return text;
}

void run(int argc, char** argv) {
  CLI::App app("nanochat: from raw text to your own ChatGPT, in one native program.", "nanochat");
  app.set_version_flag("--version", "nanochat " NANOCHAT_VERSION);
  app.require_subcommand(0, 1);

  CommonOptions common;
  CLI::App& info = *app.add_subcommand("info", "what this build and this machine have");
  add_common_options(info, common);

  const auto is_first_word = [&](const CLI::App* command) {
    return command->get_name() == argv[1];
  };
  if (argc > 1 && argv[1][0] != '-' && app.get_subcommands(is_first_word).empty()) {
    throw UsageError("unknown command '{}': {}", argv[1], kHelpHint);
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& asked) {  // --help, --version: prints to stdout
    app.exit(asked);
    return;
  } catch (const CLI::ParseError& e) {
    const auto chosen = app.get_subcommands();
    throw UsageError("{}: nanochat {}--help says more", one_line(e.what()),
                     chosen.empty() ? "" : chosen.front()->get_name() + " ");
  }
  if (!info.parsed()) throw UsageError("no command given: {}", kHelpHint);

  apply(common);
  run_info(common);
}

}  // namespace
}  // namespace nanochat::cli

int main(int argc, char** argv) {
  using nanochat::ExitCode;
  ExitCode code = ExitCode::kOk;
  std::signal(SIGPIPE, SIG_IGN);  // a reader that went away is an IoError, not a silent death
  try {
    nanochat::cli::run(argc, argv);
    nanochat::cli::flush_stdout();
  } catch (const nanochat::Error& e) {
    nanochat::log_error("{}", e.what());
    code = e.exit_code();
  } catch (const std::bad_alloc&) {
    nanochat::log_error("out of memory");
    code = ExitCode::kOutOfMemory;
  } catch (const std::exception& e) {
    nanochat::log_error("a bug of ours: {}", e.what());
    return 1;
  }
  return static_cast<int>(code);
}
