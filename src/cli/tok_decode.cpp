#include <charconv>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "cli/text_io.h"
#include "cli/tok.h"
#include "cli/tokenizer_store.h"
#include "core/error.h"
#include "tokenizer/utf8.h"

namespace nanochat::cli {
namespace {

constexpr std::string_view kBetween = " \t\r\n,[]";  // so that a JSON array passes too

/// Appends the numbers of `text`; false at one that is none.
bool parse_ids(std::string_view text, std::vector<int32_t>& ids) {
  for (;;) {
    text.remove_prefix(std::min(text.find_first_not_of(kBetween), text.size()));
    if (text.empty()) return true;
    int32_t id = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
    text.remove_prefix(static_cast<size_t>(end - text.data()));
    const bool ends_there = text.empty() || kBetween.find(text.front()) != std::string_view::npos;
    if (error != std::errc() || !ends_there) return false;
    ids.push_back(id);
  }
}

}  // namespace

void run_tok_decode(const CommonOptions& common, const TokDecodeOptions& options) {
  const Tokenizer tokenizer = load_tokenizer(common, options.tokenizer);
  std::vector<int32_t> ids;
  const std::vector<std::string> words =
      options.ids.empty() ? std::vector<std::string>{"-"} : options.ids;
  for (const std::string& word : words) {
    if (word == "-") {
      if (!parse_ids(read_standard_input(), ids)) {
        throw DataError("standard input: what follows id number {} is not a token id", ids.size());
      }
    } else if (!parse_ids(word, ids)) {
      throw UsageError("'{}' is not a token id", word);
    }
  }
  const std::string bytes = tokenizer.decode_bytes(ids);
  if (!common.json) return print_bytes(bytes);
  const nlohmann::ordered_json result{{"tokens", ids.size()},
                                      {"bytes", bytes.size()},
                                      {"valid_utf8", utf8::find_invalid(bytes) == bytes.size()},
                                      {"text", tokenizer.decode(ids)}};
  print_json(result);
}

}  // namespace nanochat::cli
