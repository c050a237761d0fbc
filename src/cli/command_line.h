/// How commands are put on the command line. For the files that parse; CLI11 takes seconds to
/// compile, so what commands do is in files without it.
#pragma once

#include <functional>

#include <CLI/CLI.hpp>

#include "cli/commands.h"

namespace nanochat::cli {

/// What the command line asks for, run when all of it has been parsed.
using Action = std::function<void()>;

/// --base-dir, --threads, --config, --json and --quiet, which every command takes.
void add_common_options(CLI::App& command, CommonOptions& options);

/// nanochat tok train, encode, decode, inspect, eval, export, import.
void add_tok_commands(CLI::App& app, CommonOptions& common, Action& action);

/// nanochat plan.
void add_plan_command(CLI::App& app, CommonOptions& common, Action& action);
/// The flags that say what machine a plan is for.
struct PlanCommandOptions;
void add_plan_device_options(CLI::App& command, PlanCommandOptions& options);

/// nanochat data ...
void add_data_commands(CLI::App& app, CommonOptions& common, Action& action);
void add_data_tokenize_command(CLI::App& data, CommonOptions& common, Action& action);
/// The group's: nanochat data synth.
void add_data_synth_command(CLI::App& data, CommonOptions& common, Action& action);
/// The group's: nanochat data list, download.
void add_data_download_commands(CLI::App& data, CommonOptions& common, Action& action);
/// The group's: nanochat data convert.
void add_data_convert_command(CLI::App& data, CommonOptions& common, Action& action);

/// The group's: nanochat data identity.
void add_data_identity_command(CLI::App& data, CommonOptions& common, Action& action);

/// nanochat task list, show.
void add_task_commands(CLI::App& app, CommonOptions& common, Action& action);

/// nanochat train base, mid, sft, rl.
void add_train_commands(CLI::App& app, CommonOptions& common, Action& action);

/// nanochat bench infer.
void add_bench_commands(CLI::App& app, CommonOptions& common, Action& action);
/// nanochat eval ..., nanochat sample: what is done with a model.
void add_model_commands(CLI::App& app, CommonOptions& common, Action& action);
/// The group's: nanochat eval core, chat.
void add_eval_task_commands(CLI::App& eval, CommonOptions& common, Action& action);

/// nanochat chat.
void add_chat_command(CLI::App& app, CommonOptions& common, Action& action);

/// nanochat serve.
void add_serve_command(CLI::App& app, CommonOptions& common, Action& action);

/// nanochat report.
void add_report_command(CLI::App& app, CommonOptions& common, Action& action);
/// nanochat speedrun.
void add_speedrun_command(CLI::App& app, CommonOptions& common, Action& action);

}  // namespace nanochat::cli
