/// Kinds of flags that several commands take.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "cli/command_line.h"

namespace nanochat::cli {

/// "32768", "2e9", "1.5M": whole numbers as people write them; -1 for what is none.
[[nodiscard]] int64_t parse_count(std::string_view text);

/// "2GiB", "512M", "1.5 GB", "1000000": bytes as people write them. K, M, G, T and KiB, MiB, ...
/// are powers of 1024, kB, MB, ... of 1000; capitals do not matter. -1 for what is none.
[[nodiscard]] int64_t parse_bytes(std::string_view text);

/// "\\n", "\\t" and "\\\\" as the characters that they stand for.
[[nodiscard]] std::string unescaped(std::string_view text);

/// A flag that takes what parse_count() reads; with `minus_one`, -1 too.
CLI::Option* add_count(CLI::App& command, const std::string& name, int64_t& value,
                       const std::string& help, bool minus_one = false);

/// A flag that takes what parse_bytes() reads.
CLI::Option* add_bytes(CLI::App& command, const std::string& name, std::optional<int64_t>& value,
                       const std::string& help);

/// Where the flags that say what text is read put their values.
struct TextFlags {
  std::vector<std::string>& data;
  std::string& text_field;
  std::string& txt_separator;
  bool& skip_bad_shards;
};
/// --data (required), --text-field, --txt-separator and --skip-bad-shards, in the group "Text".
void add_text_flags(CLI::App& command, TextFlags flags);

/// --tokenizer.
CLI::Option* add_tokenizer(CLI::App& command, std::string& tokenizer);

/// What every command with a trained model takes: MODEL, --device, --dtype, --quantize, and a
/// --tokenizer that need not be given.
CLI::Option* add_model(CLI::App& command, std::string& model);
CLI::Option* add_device(CLI::App& command, std::string& device);
CLI::Option* add_dtype(CLI::App& command, std::string& dtype);
CLI::Option* add_quantize(CLI::App& command, std::string& quantize);
CLI::Option* add_model_tokenizer(CLI::App& command, std::string& tokenizer);

/// --task-data, repeatable.
CLI::Option* add_task_data(CLI::App& command, std::vector<std::string>& folders);

/// One of these words. The type's name lists them already.
[[nodiscard]] CLI::Validator one_of(std::set<std::string> words);

/// A command of the group: its options live as long as the program may run it.
template <typename Options, typename Run>
CLI::App& add_command(CLI::App& group, const char* name, const char* help, CommonOptions& common,
                      Action& action, std::shared_ptr<Options> options, Run run) {
  CLI::App& command = *group.add_subcommand(name, help);
  command.final_callback([&common, &action, options, run] {
    action = [&common, options, run] { run(common, *options); };
  });
  return command;
}

}  // namespace nanochat::cli
