#include "serve/messages.h"

#include <limits>
#include <string>
#include <utility>
#include <variant>

#include <fmt/format.h>

#include "serve/api_error.h"
#include "serve/json_fields.h"

namespace nanochat::serve {
namespace {

using Json = nlohmann::json;
using Parts = std::vector<MessagePart>;

constexpr std::string_view kJoin = "\n\n";

Role parse_role(const Json& message, const std::string& where) {
  const std::optional<std::string> role = [&]() -> std::optional<std::string> {
    const Json& value = member(message, "role");
    if (value.is_string()) return value.get<std::string>();
    return {};
  }();
  const std::string param = where + ".role";
  if (!role) throw bad_parameter(param, "missing, or no text");
  if (*role == "system" || *role == "developer") return Role::kSystem;
  if (*role == "user") return Role::kUser;
  if (*role == "assistant") return Role::kAssistant;
  if (*role == "tool" || *role == "function") {
    throw bad_parameter(param, "this model calls no tools of the client's, so '{}' has no place",
                        *role);
  }
  throw bad_parameter(param, "'{}', expected system, developer, user or assistant", *role);
}

MessagePart parse_part(const Json& part, Role role, const std::string& where) {
  if (!part.is_object()) throw bad_parameter(where, "expected an object");
  const Json& type = member(part, "type");
  if (!type.is_string()) throw bad_parameter(where + ".type", "missing, or no text");
  const auto name = type.get<std::string>();
  MessagePart parsed;
  if (name == "python" || name == "python_output") {
    if (role != Role::kAssistant) {
      throw bad_parameter(where + ".type", "'{}' is for the assistant's messages", name);
    }
    parsed.type = name == "python" ? PartType::kPython : PartType::kPythonOutput;
  } else if (name != "text") {
    throw bad_parameter(where + ".type", "'{}': this model reads text only", name);
  }
  const Json& text = member(part, "text");
  if (!text.is_string()) throw bad_parameter(where + ".text", "missing, or no text");
  parsed.text = text.get<std::string>();
  return parsed;
}

/// Of the user or the system: one text.
std::string joined_text(const Parts& parts) {
  std::string text;
  for (const MessagePart& part : parts) {
    if (!text.empty() && !part.text.empty()) text += '\n';
    text += part.text;
  }
  return text;
}

Message parse_message(const Json& json, const std::string& where) {
  if (!json.is_object()) throw bad_parameter(where, "expected an object");
  Message message{parse_role(json, where), std::string()};
  for (const char* const calls : {"tool_calls", "function_call"}) {
    const Json& value = member(json, calls);
    if (!value.is_null() && !value.empty()) {
      throw bad_parameter(where + "." + calls, "this model calls no tools of the client's");
    }
  }
  const Json& content = member(json, "content");
  const std::string param = where + ".content";
  if (content.is_string()) {
    message.content = content.get<std::string>();
  } else if (content.is_array()) {
    Parts parts;
    for (size_t i = 0; i < content.size(); ++i) {
      parts.push_back(parse_part(content[i], message.role, fmt::format("{}[{}]", param, i)));
    }
    if (message.role == Role::kAssistant) {
      message.content = std::move(parts);
    } else {
      message.content = joined_text(parts);
    }
  } else if (!(content.is_null() && message.role == Role::kAssistant)) {
    throw bad_parameter(param, "missing, or neither a text nor a list of parts");
  }
  return message;
}

/// Adds what `next` says to `message`, which is of the same role.
void join(Message& message, Message next) {
  auto* const text = std::get_if<std::string>(&message.content);
  const auto* const more = std::get_if<std::string>(&next.content);
  if (text != nullptr && more != nullptr) {
    if (!text->empty() && !more->empty()) *text += kJoin;
    *text += *more;
    return;
  }
  const auto parts_of = [](Message& m) {
    if (auto* const parts = std::get_if<Parts>(&m.content)) return std::move(*parts);
    return Parts{{PartType::kText, std::move(std::get<std::string>(m.content))}};
  };
  Parts all = parts_of(message), rest = parts_of(next);
  for (MessagePart& part : rest) all.push_back(std::move(part));
  message.content = std::move(all);
}

}  // namespace

std::vector<Message> parse_messages(const Json& value) {
  if (!value.is_array() || value.empty()) {
    throw bad_parameter("messages", "expected a list of at least one message");
  }
  std::vector<Message> messages;
  for (size_t i = 0; i < value.size(); ++i) {
    messages.push_back(parse_message(value[i], fmt::format("messages[{}]", i)));
  }
  return messages;
}

std::vector<Message> in_turns(std::vector<Message> messages) {
  std::vector<Message> turns;
  for (size_t i = 0; i < messages.size(); ++i) {
    Message& message = messages[i];
    const bool leads = turns.empty() || (turns.size() == 1 && turns[0].role == Role::kSystem);
    if (message.role == Role::kSystem && !leads) message.role = Role::kUser;
    if (!turns.empty() && turns.back().role == message.role) {
      join(turns.back(), std::move(message));
      continue;
    }
    if (leads && message.role == Role::kAssistant) turns.push_back({Role::kUser, std::string()});
    turns.push_back(std::move(message));
  }
  // Instructions alone: the template has them in front of a message.
  if (turns.back().role == Role::kSystem) turns.back().role = Role::kUser;
  return turns;
}

std::vector<int32_t> prompt_of(const Tokenizer& tokenizer, std::vector<Message> messages) {
  const Conversation turns{in_turns(std::move(messages))};
  std::vector<int32_t> ids =
      render_conversation(tokenizer, turns, std::numeric_limits<int64_t>::max()).ids;
  if (turns.messages.back().role == Role::kAssistant) {
    ids.pop_back();  // <|assistant_end|>
  } else {
    ids.push_back(ChatTokens(tokenizer).assistant_start);
  }
  return ids;
}

int64_t text_bytes(const std::vector<Message>& messages) noexcept {
  int64_t bytes = 0;
  for (const Message& message : messages) {
    if (const auto* const text = std::get_if<std::string>(&message.content)) {
      bytes += std::ssize(*text);
      continue;
    }
    for (const MessagePart& part : std::get<Parts>(message.content)) bytes += std::ssize(part.text);
  }
  return bytes;
}

}  // namespace nanochat::serve
