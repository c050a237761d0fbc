/// Text in and out of the commands.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "cli/tok.h"
#include "core/storage.h"
#include "tokenizer/tokenizer.h"

namespace nanochat::cli {

/// All of standard input. Throws IoError.
[[nodiscard]] std::string read_standard_input();

/// The text that the options name, and what keeps it in memory.
class InputText {
 public:
  explicit InputText(const TextInput& input);
  [[nodiscard]] std::string_view view() const noexcept { return view_; }

 private:
  std::string text_;
  StoragePtr file_;
  std::string_view view_;
};

[[nodiscard]] std::vector<int32_t> encode(const Tokenizer& tokenizer, const InputText& text,
                                          const TextInput& input);

/// --color auto: standard output is a terminal and $NO_COLOR (no-color.org) is not set.
[[nodiscard]] bool stdout_wants_color();

/// Exactly these bytes to standard output; main() finds out whether they arrived.
void print_bytes(std::string_view bytes);
/// On one line. A path may hold bytes that are not UTF-8, which JSON cannot: they show as U+FFFD.
void print_json(const nlohmann::ordered_json& json);

}  // namespace nanochat::cli
