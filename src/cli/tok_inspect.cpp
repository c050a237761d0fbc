#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include "cli/text_io.h"
#include "cli/tok.h"
#include "cli/tokenizer_store.h"
#include "core/log.h"
#include "tokenizer/utf8.h"

namespace nanochat::cli {
namespace {

/// Characters that a terminal obeys or that nobody sees: controls, and marks of width or direction.
bool is_hidden(char32_t c) {
  return c < 0x20 || (c >= 0x7F && c < 0xA0) || c == 0xAD || (c >= 0x200B && c <= 0x200F) ||
         (c >= 0x2028 && c <= 0x202E) || (c >= 0x2060 && c <= 0x206F) || c == 0xFEFF;
}

/// What a person can read: hidden characters and bytes that are no character are escaped.
std::string readable(std::string_view bytes) {
  std::string out;
  for (size_t at = 0; at < bytes.size();) {
    const auto c = utf8::decode(bytes, at);
    const std::string_view part = bytes.substr(at, c.length);
    at += c.length;
    if (c.valid && c.code_point == '\n') {
      out += "\\n";
    } else if (c.valid && c.code_point == '\t') {
      out += "\\t";
    } else if (c.valid && c.code_point == '\r') {
      out += "\\r";
    } else if (c.valid && c.code_point == '\\') {
      out += "\\\\";
    } else if (c.valid && !is_hidden(c.code_point)) {
      out += part;
    } else if (c.valid && c.code_point >= 0x80) {
      fmt::format_to(std::back_inserter(out), "\\u{{{:x}}}", static_cast<uint32_t>(c.code_point));
    } else {
      for (const char byte : part) {
        fmt::format_to(std::back_inserter(out), "\\x{:02x}", static_cast<uint8_t>(byte));
      }
    }
  }
  return out;
}

bool wants_color(const std::string& option) {
  return option == "auto" ? wants_colour(STDOUT_FILENO) : option == "always";
}

/// The text as it runs, tokens on alternating grounds, each followed by its id in grey.
std::string coloured(const Tokenizer& tokenizer, std::span<const int32_t> ids) {
  constexpr std::string_view kGrounds[] = {"\x1b[30;46m", "\x1b[30;43m"};
  constexpr std::string_view kGrey = "\x1b[0;90m", kPlain = "\x1b[0m";
  std::string out;
  for (size_t i = 0; i < ids.size(); ++i) {
    const std::string_view bytes = tokenizer.token_bytes(ids[i]);
    fmt::format_to(std::back_inserter(out), "{}{}{}{}{}", kGrounds[i % 2], readable(bytes), kGrey,
                   ids[i], kPlain);
    if (bytes.ends_with('\n')) out += '\n';
  }
  if (!out.ends_with('\n')) out += '\n';
  return out;
}

}  // namespace

void run_tok_inspect(const CommonOptions& common, const TokInspectOptions& options) {
  const Tokenizer tokenizer = load_tokenizer(common, options.tokenizer);
  const InputText text(options.input);
  const std::vector<int32_t> ids = encode(tokenizer, text, options.input);
  if (common.json) {
    auto tokens = nlohmann::ordered_json::array();
    for (const int32_t id : ids) {
      const std::string_view bytes = tokenizer.token_bytes(id);
      tokens.push_back({{"id", id}, {"bytes", bytes.size()}, {"text", readable(bytes)}});
    }
    const nlohmann::ordered_json result{{"bytes", text.view().size()}, {"tokens", tokens}};
    print_json(result);
    return;
  }
  if (wants_color(options.color)) {
    print_bytes(coloured(tokenizer, ids));
    fmt::print("{} bytes, {} tokens, {:.2f} bytes a token\n", text.view().size(), ids.size(),
               ids.empty()
                   ? 0.0
                   : static_cast<double>(text.view().size()) / static_cast<double>(ids.size()));
    return;
  }
  std::string lines;
  for (const int32_t id : ids) {
    fmt::format_to(std::back_inserter(lines), "{}\t{}\n", id, readable(tokenizer.token_bytes(id)));
  }
  print_bytes(lines);
}

}  // namespace nanochat::cli
