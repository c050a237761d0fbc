#include "engine/tool_state.h"

namespace nanochat {

ToolTokens::ToolTokens(const Tokenizer& tokenizer)
    : python_start(tokenizer.special_id("<|python_start|>")),
      python_end(tokenizer.special_id("<|python_end|>")),
      output_start(tokenizer.special_id("<|output_start|>")),
      output_end(tokenizer.special_id("<|output_end|>")) {}

std::optional<std::string> ToolState::push(int32_t id, const ToolTokens& tokens,
                                           const Tokenizer& tokenizer) {
  if (id == tokens.python_start) {
    in_block_ = true;
    block_.clear();
  } else if (id == tokens.python_end && in_block_) {
    in_block_ = false;
    if (block_.empty()) return {};
    std::string text = tokenizer.decode(block_);
    block_.clear();
    return text;
  } else if (in_block_) {
    block_.push_back(id);
  }
  return {};
}

std::vector<int32_t> ToolState::forced_tokens(std::string_view result, const ToolTokens& tokens,
                                              const Tokenizer& tokenizer) {
  std::vector<int32_t> ids{tokens.output_start};
  tokenizer.encode_to(result, ids);
  ids.push_back(tokens.output_end);
  return ids;
}

}  // namespace nanochat
