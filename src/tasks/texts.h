/// Text files of src/tasks/texts/ that are part of the program (nanochat_embed).
#pragma once

#include <string_view>

namespace nanochat::texts {

/// One a line.
[[nodiscard]] std::string_view english_words() noexcept;
/// Who the assistant is: a list of messages a line.
[[nodiscard]] std::string_view identity_conversations() noexcept;

}  // namespace nanochat::texts
