#include <string>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "cli/text_io.h"
#include "cli/tok.h"
#include "cli/tokenizer_store.h"

namespace nanochat::cli {

void run_tok_encode(const CommonOptions& common, const TokEncodeOptions& options) {
  const Tokenizer tokenizer = load_tokenizer(common, options.tokenizer);
  const InputText text(options.input);
  std::vector<int32_t> ids = encode(tokenizer, text, options.input);
  if (options.prepend_bos) ids.insert(ids.begin(), tokenizer.bos_id());
  if (common.json) {
    const nlohmann::ordered_json result{
        {"bytes", text.view().size()}, {"tokens", ids.size()}, {"ids", ids}};
    print_json(result);
    return;
  }
  print_bytes(fmt::format("{}\n", fmt::join(ids, " ")));
}

}  // namespace nanochat::cli
