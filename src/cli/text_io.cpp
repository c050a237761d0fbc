#include "cli/text_io.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

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

bool stdout_wants_color() {
  const char* no_color = std::getenv("NO_COLOR");
  return ::isatty(STDOUT_FILENO) == 1 && (no_color == nullptr || *no_color == '\0');
}

void print_bytes(std::string_view bytes) { std::fwrite(bytes.data(), 1, bytes.size(), stdout); }

void print_json(const nlohmann::ordered_json& json) {
  print_bytes(json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
}

}  // namespace nanochat::cli
