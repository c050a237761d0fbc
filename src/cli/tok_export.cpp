#include <nlohmann/json.hpp>

#include "cli/text_io.h"
#include "cli/tok.h"
#include "cli/tokenizer_store.h"
#include "core/error.h"
#include "core/log.h"
#include "tokenizer/formats.h"

namespace nanochat::cli {

void run_tok_export(const CommonOptions& common, const TokExportOptions& options) {
  const auto format =
      options.to == "own" ? TokenizerFormat::kOurs : tokenizer_format_from_name(options.to);
  if (!format)
    throw UsageError("--to {}: no such format: tiktoken, huggingface or own", options.to);
  const Vocabulary vocabulary = load_vocabulary(find_tokenizer(common, options.tokenizer));
  save_vocabulary(vocabulary, options.out, *format);
  if (common.json) {
    const nlohmann::ordered_json result{
        {"path", options.out}, {"format", name_of(*format)}, {"vocab_size", vocabulary.size()}};
    print_json(result);
    return;
  }
  log_info("wrote {}", options.out);
  if (format == TokenizerFormat::kTiktoken) {
    log_info(
        "the format has no place for the split pattern and the special tokens: give them to "
        "tiktoken.Encoding yourself");
  }
}

}  // namespace nanochat::cli
