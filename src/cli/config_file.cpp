#include "cli/config_file.h"

#include <algorithm>
#include <filesystem>
#include <sstream>
#include <string_view>
#include <utility>

#include <fmt/format.h>
#include <toml.hpp>

#include "core/error.h"
#include "core/file.h"

namespace nanochat::cli {
namespace {

constexpr std::string_view kFlag = "--config";
constexpr int64_t kMaxBytes = 1 << 20;

/// The value of --config, or nothing.
std::string find_config(const std::vector<std::string>& arguments) {
  for (size_t i = 0; i < arguments.size(); ++i) {
    if (arguments[i] == "--") break;
    if (arguments[i] == kFlag && i + 1 < arguments.size()) return arguments[i + 1];
    if (arguments[i].starts_with("--config=")) return arguments[i].substr(kFlag.size() + 1);
  }
  return {};
}

const CLI::App* find_command(const CLI::App& app, const std::string& name) {
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    if (command->get_name() == name) return command;
  }
  return nullptr;
}

bool gives(const std::vector<std::string>& arguments, const std::string& flag) {
  return std::ranges::any_of(arguments, [&](const std::string& argument) {
    return argument == flag || argument.starts_with(flag + "=");
  });
}

class Expander {
 public:
  Expander(const CLI::App& command, std::string name, std::string file,
           const std::vector<std::string>& arguments)
      : command_(command), name_(std::move(name)), file_(std::move(file)), given_(arguments) {}

  void add(const std::string& key, const toml::value& value) {
    std::string flag = "--" + key;
    std::ranges::replace(flag, '_', '-');
    const CLI::Option* option = command_.get_option_no_throw(flag);
    if (option == nullptr || flag == kFlag) {
      throw UsageError("{}:{}: '{}' is no flag of {}: nanochat {} --help lists them", file_,
                       value.location().line(), key, name_, name_);
    }
    if (gives(given_, flag)) return;
    if (!value.is_array()) return add_one(flag, *option, value);
    for (const toml::value& element : value.as_array()) add_one(flag, *option, element);
  }

  [[nodiscard]] const std::vector<std::string>& flags() const noexcept { return flags_; }

 private:
  void add_one(const std::string& flag, const CLI::Option& option, const toml::value& value) {
    const bool is_switch = option.get_items_expected_min() == 0;
    if (value.is_boolean() && is_switch) {
      if (value.as_boolean()) flags_.push_back(flag);
    } else if (value.is_string() && !is_switch) {
      const std::string& text = value.as_string().str;
      flags_.push_back(text.empty() ? flag : fmt::format("{}={}", flag, text));
      if (text.empty()) flags_.push_back(text);  // "--flag=" would take the next word
    } else if (value.is_integer() && !is_switch) {
      flags_.push_back(fmt::format("{}={}", flag, value.as_integer()));
    } else if (value.is_floating() && !is_switch) {
      flags_.push_back(fmt::format("{}={}", flag, value.as_floating()));
    } else {
      throw UsageError(
          "{}:{}: {} takes {}", file_, value.location().line(), flag.substr(2),
          is_switch ? "true or false" : "a number, a text in quotes, or a list of them");
    }
  }

  const CLI::App& command_;
  std::string name_, file_;
  const std::vector<std::string>& given_;
  std::vector<std::string> flags_;
};

toml::value parse(const std::string& file) {
  std::istringstream text(read_file(file, kMaxBytes));
  try {
    return toml::parse(text, file);
  } catch (const toml::exception& e) {
    // what() draws the place over several lines; the first says what is wrong.
    std::string what = e.what();
    what = what.substr(0, what.find('\n'));
    if (what.starts_with("[error] ")) what = what.substr(8);
    if (what.starts_with("toml::")) what = what.substr(6);
    throw DataError("{}:{}: not TOML: {}", file, e.location().line(), what);
  }
}

}  // namespace

std::vector<std::string> with_config_file(const CLI::App& app, std::vector<std::string> arguments) {
  const std::string file = find_config(arguments);
  if (file.empty()) return arguments;
  const CLI::App* command = &app;
  std::vector<std::string> words;
  while (words.size() < arguments.size()) {
    const CLI::App* const next = find_command(*command, arguments[words.size()]);
    if (next == nullptr) break;
    words.push_back(arguments[words.size()]);
    command = next;
  }
  if (words.empty()) return arguments;  // the parser will say what is wrong

  Expander expander(*command, fmt::format("{}", fmt::join(words, " ")), file, arguments);
  const toml::value document = parse(file);
  for (const auto& [key, value] : document.as_table()) {
    if (!value.is_table()) expander.add(key, value);
  }
  // Tables: the words of a command, one inside the other.
  const auto walk = [&](const auto& self, const CLI::App& at, const toml::value& table,
                        size_t depth, bool ours, const std::string& path) -> void {
    for (const auto& [key, value] : table.as_table()) {
      if (!value.is_table()) {
        if (ours && depth == words.size()) expander.add(key, value);
        continue;
      }
      const CLI::App* const next = find_command(at, key);
      if (next == nullptr) {
        throw UsageError("{}:{}: there is no command '{}{}': a table is named after one", file,
                         value.location().line(), path, key);
      }
      self(self, *next, value, depth + 1, ours && depth < words.size() && words[depth] == key,
           path + key + " ");
    }
  };
  walk(walk, app, document, 0, true, "");

  const std::vector<std::string>& flags = expander.flags();
  arguments.insert(arguments.begin() + std::ssize(words), flags.begin(), flags.end());
  return arguments;
}

}  // namespace nanochat::cli
