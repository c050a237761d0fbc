/// Conversations, and how one becomes tokens: the chat template.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "tokenizer/tokenizer.h"

namespace nanochat {

enum class Role : uint8_t { kSystem, kUser, kAssistant };
[[nodiscard]] std::string_view role_name(Role role) noexcept;  ///< "system", "user", "assistant"

/// What an assistant's message is made of when it uses a tool.
enum class PartType : uint8_t {
  kText,
  kPython,        ///< an expression that it sends to the tool
  kPythonOutput,  ///< what came back; never supervised
};
struct MessagePart {
  PartType type = PartType::kText;
  std::string text;
  friend bool operator==(const MessagePart&, const MessagePart&) = default;
};

struct Message {
  Role role = Role::kUser;
  std::variant<std::string, std::vector<MessagePart>> content;
  friend bool operator==(const Message&, const Message&) = default;
};

struct Conversation {
  std::vector<Message> messages;
  friend bool operator==(const Conversation&, const Conversation&) = default;
};

/// Reads {"messages": [...]} or the list alone (as in upstream's files of own conversations, one a
/// line); a message is {"role": R, "content": C}, C a string or a list of {"type": T, "text": S}
/// with T one of text, python, python_output. Other members are ignored. Throws DataError that
/// starts with `where` and names the message by its index. The order of roles is for rendering to
/// judge.
[[nodiscard]] Conversation parse_conversation(std::string_view json, std::string_view where);
[[nodiscard]] Conversation conversation_of(const nlohmann::json& json, std::string_view where);
/// {"messages": [...]} for parse_conversation to read, over several lines. Texts that are not UTF-8
/// are mended.
[[nodiscard]] std::string conversation_json(const Conversation& conversation);

/// What keeps the messages from being a conversation: "message 3: role 'user', expected
/// 'assistant'"; empty when they are one. A system message may come first, before a user's; the
/// roles then alternate, user first, and may end with either. Only an assistant's content may be a
/// list of parts.
[[nodiscard]] std::string conversation_problem(std::span<const Message> messages);

/// The special tokens of the chat template. Throws NotFoundError when the tokenizer lacks one.
struct ChatTokens {
  explicit ChatTokens(const Tokenizer& tokenizer);
  int32_t bos, user_start, user_end, assistant_start, assistant_end, python_start, python_end,
      output_start, output_end;
};

/// mask 1: a token that the model learns to say. As long as ids.
struct RenderedConversation {
  std::vector<int32_t> ids;
  std::vector<uint8_t> mask;
};

inline constexpr int64_t kDefaultMaxTokens = 2048;

/// The chat template of upstream:
///   <|bos|>, then per message
///   user:       <|user_start|> content <|user_end|>                         mask 0
///   assistant:  <|assistant_start|> (0)  content <|assistant_end|>          mask 1
///     python part:         <|python_start|> text <|python_end|>             mask 1
///     python_output part:  <|output_start|> text <|output_end|>             mask 0
/// Every string is encoded on its own. A system message is put in front of the first user's
/// content, two newlines between. The first max_tokens tokens are kept.
///
/// Throws DataError with what conversation_problem() says, also of messages behind max_tokens;
/// NotFoundError when the tokenizer lacks one of the special tokens.
[[nodiscard]] RenderedConversation render_conversation(const Tokenizer& tokenizer,
                                                       const Conversation& conversation,
                                                       int64_t max_tokens = kDefaultMaxTokens);

/// What the model is to continue: the conversation without its last message, which must be the
/// assistant's (DataError), rendered within max_tokens, then <|assistant_start|>, which comes on
/// top of max_tokens.
[[nodiscard]] std::vector<int32_t> render_for_completion(const Tokenizer& tokenizer,
                                                         const Conversation& conversation,
                                                         int64_t max_tokens = kDefaultMaxTokens);

/// For people: the tokens of a rendered conversation, decoded one by one with | between them, green
/// where the mask is 1 and red where it is 0 (ANSI colours); with ids, each is followed by its id
/// in grey. Control characters other than newline and tab are shown as \x1b, so that a text cannot
/// speak to the terminal. `mask` is as long as `ids`.
[[nodiscard]] std::string visualize_tokenization(const Tokenizer& tokenizer,
                                                 std::span<const int32_t> ids,
                                                 std::span<const uint8_t> mask,
                                                 bool with_ids = false);

}  // namespace nanochat
