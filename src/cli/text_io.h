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

/// Exactly these bytes to standard output; main() finds out whether they arrived.
void print_bytes(std::string_view bytes);
/// A result that did not reach its reader is an error, throws IoError: the disk may be full.
void flush_stdout();
/// On one line. A path may hold bytes that are not UTF-8, which JSON cannot: they show as U+FFFD.
/// No control character goes out as such.
void print_json(const nlohmann::ordered_json& json);

}  // namespace nanochat::cli
