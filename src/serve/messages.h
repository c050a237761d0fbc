/// The messages of a chat request, and the prompt that they make.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "tokenizer/conversation.h"

namespace nanochat::serve {

/// OpenAI's list: {"role": ..., "content": a text or a list of parts}. Roles: system, developer
/// (the same), user, assistant. Parts: text; of the assistant also python and python_output.
/// Throws ApiError (400) that names the place, also for what this model cannot take: pictures,
/// results of tools of the client's.
[[nodiscard]] std::vector<Message> parse_messages(const nlohmann::json& value);

/// The same as turns of the chat template: user and assistant in turn, the user first, a system
/// message before all or none.
///   - system messages at the beginning are joined
///   - one further on is put in front of the user's next message, or is one of its own
///   - messages of one role in a row are joined
///   - where the assistant speaks first, an empty message of the user stands before it
/// Joined by two newlines, as the template puts a system text in front of a message.
[[nodiscard]] std::vector<Message> in_turns(std::vector<Message> messages);

/// What the model is to continue. Where the last message is the assistant's, that message.
[[nodiscard]] std::vector<int32_t> prompt_of(const Tokenizer& tokenizer,
                                             std::vector<Message> messages);

/// Of all texts in them.
[[nodiscard]] int64_t text_bytes(const std::vector<Message>& messages) noexcept;

}  // namespace nanochat::serve
