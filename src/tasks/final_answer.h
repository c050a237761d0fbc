/// Answers that end in "#### 42".
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "tokenizer/conversation.h"

namespace nanochat {

/// What stands behind the first "#### " that a number follows (a minus, then digits, dots and
/// commas), without commas: "#### 1,234." gives "1234.". As a string: "72.0" is not "72".
[[nodiscard]] std::optional<std::string> final_answer(std::string_view text);

/// Whether `response` gives the final answer of the last part of the reference's last message.
/// False when that has none.
[[nodiscard]] bool has_same_final_answer(const Conversation& reference, std::string_view response);

}  // namespace nanochat
