#include "cli/text_io.h"

#include <cerrno>
#include <cstdio>
#include <filesystem>

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include "core/file.h"
#include "core/mapped_file.h"

namespace nanochat::cli {

std::string read_standard_input() {
  std::string text;
  size_t size = 0;
  for (;;) {
    if (size == text.size()) text.resize(size + (size >> 1) + (size_t{64} << 10));
    const ssize_t n = ::read(STDIN_FILENO, text.data() + size, text.size() - size);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw_errno("read", "standard input", errno);
    size += static_cast<size_t>(n);
    if (n == 0) break;
  }
  text.resize(size);
  return text;
}

InputText::InputText(const TextInput& input) {
  if (input.has_text) {
    view_ = text_ = input.text;
  } else if (input.file == "-") {
    view_ = text_ = read_standard_input();
  } else {
    file_ = map_file(input.file);
    view_ = {static_cast<const char*>(file_->data()), static_cast<size_t>(file_->size_bytes())};
  }
}

std::vector<int32_t> encode(const Tokenizer& tokenizer, const InputText& text,
                            const TextInput& input) {
  return input.with_specials ? tokenizer.encode_with_specials(text.view())
                             : tokenizer.encode(text.view());
}

void print_bytes(std::string_view bytes) { std::fwrite(bytes.data(), 1, bytes.size(), stdout); }

void flush_stdout() {
  if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) {
    throw_errno("write", "standard output", errno != 0 ? errno : EIO);
  }
}

void print_json(const nlohmann::ordered_json& json) {
  // JSON lets DEL and U+0080 to U+009F stand as they are; a terminal obeys them.
  const std::string text = json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<uint8_t>(text[i]);
    const auto next = i + 1 < text.size() ? static_cast<uint8_t>(text[i + 1]) : uint8_t{0xFF};
    if (byte == 0x7F || (byte == 0xC2 && next < 0xA0)) {
      out += fmt::format("\\u{:04x}", byte == 0x7F ? byte : next);
      if (byte != 0x7F) ++i;
    } else {
      out += text[i];
    }
  }
  print_bytes(out + "\n");
}

}  // namespace nanochat::cli
