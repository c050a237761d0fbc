// tiktoken's files of ranks: a line "base64(bytes) rank" for each token.
#include <charconv>
#include <iterator>
#include <utility>

#include <fmt/format.h>

#include "core/error.h"
#include "tokenizer/formats.h"
#include "tokenizer/formats_text.h"

namespace nanochat {

std::string format_tiktoken(const Vocabulary& vocabulary) {
  check_storable(vocabulary, "this tokenizer");
  std::string out;
  for (size_t rank = 0; rank < vocabulary.tokens.size(); ++rank) {
    fmt::format_to(std::back_inserter(out), "{} {}\n", to_base64(vocabulary.tokens[rank]), rank);
  }
  return out;
}

Vocabulary parse_tiktoken(std::string_view bytes, std::string_view where,
                          const TiktokenSettings& settings) {
  RankedTokens tokens(where);
  for (int64_t number = 1; !bytes.empty(); ++number) {
    std::string_view line = bytes.substr(0, bytes.find('\n'));
    bytes.remove_prefix(std::min(line.size() + 1, bytes.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty()) continue;
    const auto refuse_line = [&](std::string_view what) {
      throw DataError("{}: line {}: {}: each line must be a token in base64, a space, and its rank",
                      where, number, what);
    };
    const size_t space = line.find(' ');
    if (space == std::string_view::npos) refuse_line("no space");
    std::optional<std::string> token = from_base64(line.substr(0, space));
    if (!token) refuse_line("the token is not base64");
    const std::string_view digits = line.substr(space + 1);
    int64_t rank = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), rank);
    if (error != std::errc() || end != digits.data() + digits.size()) {
      refuse_line("the rank is not a number");
    }
    tokens.add(std::move(*token), rank, fmt::format("line {}", number));
  }
  Vocabulary vocabulary = Vocabulary::from_tokens(tokens.take(), settings.pattern);
  if (settings.specials) vocabulary.specials = *settings.specials;
  check_storable(vocabulary, where);
  return vocabulary;
}

}  // namespace nanochat
