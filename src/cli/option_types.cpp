#include "cli/option_types.h"

#include <cctype>
#include <charconv>
#include <cmath>
#include <functional>
#include <utility>

#include <fmt/format.h>

#include "ops/devices.h"

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

int64_t parse_bytes(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc()) return -1;
  std::string unit;
  for (const char c : text.substr(static_cast<size_t>(end - text.data()))) {
    if (c == ' ' && unit.empty()) continue;
    unit += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  constexpr std::string_view kPrefixes = "kmgt";
  const size_t power = unit.empty() ? std::string_view::npos : kPrefixes.find(unit[0]);
  if (power != std::string_view::npos) {
    const std::string_view rest = std::string_view(unit).substr(1);
    if (rest != "" && rest != "b" && rest != "ib") return -1;
    value *= std::pow(rest == "b" ? 1000.0 : 1024.0, static_cast<double>(power + 1));
  } else if (!unit.empty() && unit != "b") {
    return -1;
  }
  if (!(value >= 0 && value < 9e15)) return -1;
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

CLI::Option* add_bytes(CLI::App& command, const std::string& name, std::optional<int64_t>& value,
                       const std::string& help) {
  const auto assign = [&value, name](const std::string& text) {
    value = parse_bytes(text);
    if (*value < 0) {
      throw CLI::ValidationError(name, fmt::format("'{}' is no size such as 2GiB", text));
    }
  };
  return command.add_option_function<std::string>(name, assign, help)->type_name("SIZE");
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

CLI::Option* add_model(CLI::App& command, std::string& model) {
  return command
      .add_option(
          "model", model,
          "stage:tag@step, every part optional (base, base:d4, base:d4@1200), or the folder "
          "of a run or checkpoint; nothing: the newest")
      ->type_name("MODEL");
}

CLI::Option* add_device(CLI::App& command, std::string& device) {
  return command.add_option("--device", device, "auto: the first GPU, if there is one")
      ->check([](const std::string& name) -> std::string {
        try {
          check_device_name(name);
        } catch (const UsageError& e) {
          return e.what();
        }
        return "";
      })
      ->type_name("auto|cpu|cuda[:N]")
      ->capture_default_str();
}

CLI::Option* add_dtype(CLI::App& command, std::string& dtype) {
  return command.add_option("--dtype", dtype, "of activations and products")
      ->check(one_of({"auto", "f32", "bf16"}))
      ->type_name("auto|f32|bf16")
      ->capture_default_str();
}

CLI::Option* add_quantize(CLI::App& command, std::string& quantize) {
  return command
      .add_option("--quantize", quantize, "weights in 8 bits: half the memory, twice the speed")
      ->check(one_of({"none", "int8"}))
      ->type_name("none|int8")
      ->capture_default_str();
}

CLI::Option* add_model_tokenizer(CLI::App& command, std::string& tokenizer) {
  return command
      .add_option("--tokenizer", tokenizer, "another than the one kept with the checkpoint")
      ->type_name("NAME|PATH");
}

CLI::Option* add_task_data(CLI::App& command, std::vector<std::string>& folders) {
  return command
      .add_option(
          "--task-data", folders,
          "a folder with the tasks' data sets, looked in before the base folder; repeatable")
      ->type_name("DIR")
      ->allow_extra_args(false);
}

CLI::Validator one_of(std::set<std::string> words) {
  return CLI::IsMember(std::move(words)).description("");
}

}  // namespace nanochat::cli
