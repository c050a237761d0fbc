#include "cli/option_types.h"

#include <charconv>
#include <cmath>
#include <functional>
#include <utility>

#include <fmt/format.h>

namespace nanochat::cli {

int64_t parse_count(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc()) return -1;
  const std::string_view unit(end, static_cast<size_t>(text.data() + text.size() - end));
  if (unit == "k" || unit == "K")
    value *= 1e3;
  else if (unit == "M")
    value *= 1e6;
  else if (unit == "G" || unit == "B")
    value *= 1e9;
  else if (!unit.empty())
    return -1;
  if (!(value >= 0 && value < 9e15) || value != std::floor(value)) return -1;
  return static_cast<int64_t>(value);
}

std::string unescaped(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const char next = text[i] == '\\' && i + 1 < text.size() ? text[i + 1] : '\0';
    const char c = next == 'n' ? '\n' : next == 't' ? '\t' : next == '\\' ? '\\' : '\0';
    out += c != '\0' ? c : text[i];
    if (c != '\0') ++i;
  }
  return out;
}

CLI::Option* add_count(CLI::App& command, const std::string& name, int64_t& value,
                       const std::string& help, bool minus_one) {
  const auto assign = [&value, name, minus_one](const std::string& text) {
    value = parse_count(text);
    if (value < 0 && !(minus_one && text == "-1"))
      throw CLI::ValidationError(name, fmt::format("'{}' is not a whole number", text));
  };
  return command.add_option_function<std::string>(name, assign, help)
      ->type_name("N")
      ->default_str(std::to_string(value));
}

void add_text_flags(CLI::App& command, TextFlags flags) {
  const char* const kGroup = "Text";
  command
      .add_option("--data", flags.data,
                  "a file, folder or glob of .parquet, .jsonl or .txt (the last two also .gz or "
                  ".zst); more than one may be given")
      ->required()
      ->type_name("PATH...")
      ->group(kGroup);
  command.add_option("--text-field", flags.text_field, "the column or key that holds the text")
      ->type_name("NAME")
      ->capture_default_str()
      ->group(kGroup);
  command
      .add_option_function<std::string>(
          "--txt-separator",
          [&separator = flags.txt_separator](const std::string& text) {
            separator = unescaped(text);
          },
          "what separates the documents of a .txt file, such as '\\n\\n\\n'; without it a file is "
          "one document")
      ->type_name("TEXT")
      ->group(kGroup);
  command
      .add_flag("--skip-bad-shards", flags.skip_bad_shards,
                "go on with the next file after one that cannot be read")
      ->group(kGroup);
}

CLI::Option* add_tokenizer(CLI::App& command, std::string& tokenizer) {
  return command
      .add_option("--tokenizer", tokenizer,
                  "a name in the base folder, or a file or folder of any format")
      ->type_name("NAME|PATH")
      ->capture_default_str();
}

CLI::Validator one_of(std::set<std::string> words) {
  return CLI::IsMember(std::move(words)).description("");
}

}  // namespace nanochat::cli
