#include <charconv>
#include <string_view>

#include <nlohmann/json.hpp>

#include "cli/text_io.h"
#include "cli/tok.h"
#include "cli/tokenizer_store.h"
#include "core/error.h"
#include "core/log.h"
#include "tokenizer/formats.h"

namespace nanochat::cli {
namespace {

/// "NAME=ID"; names may hold "=" themselves.
void add_special(std::string_view word, std::map<std::string, int32_t, std::less<>>& specials) {
  const size_t equals = word.rfind('=');
  int32_t id = -1;
  if (equals != std::string_view::npos && equals > 0) {
    const char* const end = word.data() + word.size();
    const auto [stop, error] = std::from_chars(word.data() + equals + 1, end, id);
    if (error != std::errc() || stop != end) id = -1;
  }
  if (id < 0) throw UsageError("--special {}: NAME=ID is expected, such as '<|bos|>=50000'", word);
  if (!specials.emplace(word.substr(0, equals), id).second) {
    throw UsageError("--special {}: that name comes twice", word);
  }
}

}  // namespace

void run_tok_import(const CommonOptions& common, const TokImportOptions& options) {
  TiktokenSettings settings;
  if (!options.pattern.empty()) settings.pattern = pattern_from_name(options.pattern);
  if (!options.specials.empty()) {
    settings.specials.emplace();
    for (const std::string& word : options.specials) add_special(word, *settings.specials);
  }
  const std::filesystem::path folder = tokenizer_folder_to_write(common, options.out);
  const Tokenizer tokenizer(load_vocabulary(options.file, settings));
  save_tokenizer(tokenizer, folder);
  if (common.json) {
    const nlohmann::ordered_json result{{"path", folder.string()},
                                        {"vocab_size", tokenizer.vocab_size()},
                                        {"special_tokens", tokenizer.vocabulary().specials.size()},
                                        {"pattern", tokenizer.vocabulary().pattern}};
    print_json(result);
    return;
  }
  log_info("a vocabulary of {}, saved in {}", tokenizer.vocab_size(), folder.string());
}

}  // namespace nanochat::cli
