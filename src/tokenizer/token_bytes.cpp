#include "tokenizer/tokenizer.h"
#include "tokenizer/utf8.h"

namespace nanochat {

std::vector<int32_t> token_byte_counts(const Tokenizer& tokenizer, TokenBytesRule rule) {
  // Special tokens, and ids that a vocabulary leaves out, stand for no bytes of a text.
  std::vector<int32_t> counts(static_cast<size_t>(tokenizer.vocab_size()), 0);
  const std::vector<std::string>& tokens = tokenizer.vocabulary().tokens;
  for (size_t id = 0; id < tokens.size(); ++id) {
    const size_t size = rule == TokenBytesRule::kTrueBytes
                            ? tokens[id].size()
                            : utf8::replace_invalid(tokens[id]).size();
    counts[id] = static_cast<int32_t>(size);
  }
  return counts;
}

}  // namespace nanochat
