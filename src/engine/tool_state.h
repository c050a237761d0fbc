/// What a model writes between <|python_start|> and <|python_end|> is run, and the result is put
/// into its stream: the state machine of one sequence.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/tokenizer.h"

namespace nanochat {

/// From the text of a block to the text of its result; nothing: no result, and nothing is forced.
/// Called from one thread at a time for one sequence, from several for several.
using Tool = std::function<std::optional<std::string>(std::string_view)>;

/// Ids of the special tokens around tool calls. Throws NotFoundError when the tokenizer has none.
struct ToolTokens {
  explicit ToolTokens(const Tokenizer& tokenizer);
  int32_t python_start, python_end, output_start, output_end;
};

/// Follows a sequence token by token. Copies cost a vector.
class ToolState {
 public:
  /// Every token of the sequence after the prompt, sampled or forced, in order. Returns the block
  /// to run when this token ends one: <|python_end|> after <|python_start|> and at least one token.
  /// A second <|python_start|> begins the block anew.
  [[nodiscard]] std::optional<std::string> push(int32_t id, const ToolTokens& tokens,
                                                const Tokenizer& tokenizer);

  /// <|output_start|> text <|output_end|>.
  [[nodiscard]] static std::vector<int32_t> forced_tokens(std::string_view result,
                                                          const ToolTokens& tokens,
                                                          const Tokenizer& tokenizer);

 private:
  bool in_block_ = false;
  std::vector<int32_t> block_;
};

}  // namespace nanochat
