#include "tokenizer/conversation.h"

#include <algorithm>
#include <iterator>
#include <optional>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "tokenizer/utf8.h"

namespace nanochat {
namespace {

using Json = nlohmann::json;

constexpr std::string_view kRoles[] = {"system", "user", "assistant"};
constexpr std::string_view kPartTypes[] = {"text", "python", "python_output"};

/// The enumerator whose name this is.
template <typename Enum, size_t n>
std::optional<Enum> from_name(const std::string_view (&names)[n], std::string_view name) {
  const auto* const found = std::ranges::find(names, name);
  if (found == std::end(names)) return std::nullopt;
  return static_cast<Enum>(found - std::begin(names));
}

const std::string& string_member(const Json& object, const char* name, const std::string& where) {
  if (!object.is_object()) throw DataError("{}: not an object but {}", where, object.type_name());
  const auto member = object.find(name);
  if (member == object.end()) throw DataError("{}: no '{}'", where, name);
  if (!member->is_string()) {
    throw DataError("{}: '{}' is not a string but {}", where, name, member->type_name());
  }
  return member->get_ref<const std::string&>();
}

MessagePart parse_part(const Json& part, const std::string& where) {
  const std::string& name = string_member(part, "type", where);
  const auto type = from_name<PartType>(kPartTypes, name);
  if (!type) {
    throw DataError("{}: unknown type '{}', expected text, python or python_output", where, name);
  }
  return {*type, string_member(part, "text", where)};
}

Message parse_message(const Json& message, const std::string& where) {
  Message parsed;
  const std::string& name = string_member(message, "role", where);
  const auto role = from_name<Role>(kRoles, name);
  if (!role) {
    throw DataError("{}: unknown role '{}', expected system, user or assistant", where, name);
  }
  parsed.role = *role;
  const auto content = message.find("content");
  if (content == message.end() || !content->is_array()) {
    parsed.content = string_member(message, "content", where);
    return parsed;
  }
  std::vector<MessagePart> parts;
  for (size_t i = 0; i < content->size(); ++i) {
    parts.push_back(parse_part((*content)[i], fmt::format("{}: part {}", where, i)));
  }
  parsed.content = std::move(parts);
  return parsed;
}

/// Collects tokens until there are enough.
class Rendering {
 public:
  Rendering(const Tokenizer& tokenizer, int64_t max_tokens)
      : tokenizer_(tokenizer), max_tokens_(static_cast<size_t>(std::max<int64_t>(max_tokens, 0))) {}

  void add(int32_t id, uint8_t mask) {
    out_.ids.push_back(id);
    out_.mask.push_back(mask);
  }
  void add(std::string_view text, uint8_t mask) {
    if (out_.ids.size() >= max_tokens_) return;  // what is cut off need not be encoded
    tokenizer_.encode_to(text, out_.ids);
    out_.mask.resize(out_.ids.size(), mask);
  }
  RenderedConversation take() {
    out_.ids.resize(std::min(out_.ids.size(), max_tokens_));
    out_.mask.resize(out_.ids.size());
    return std::move(out_);
  }

 private:
  const Tokenizer& tokenizer_;
  size_t max_tokens_;
  RenderedConversation out_;
};

void add_part(Rendering& out, const ChatTokens& s, const MessagePart& part) {
  switch (part.type) {
    case PartType::kText:
      out.add(part.text, 1);
      return;
    case PartType::kPython:
      out.add(s.python_start, 1);
      out.add(part.text, 1);
      out.add(s.python_end, 1);
      return;
    case PartType::kPythonOutput:
      // The tool says this, not the model.
      out.add(s.output_start, 0);
      out.add(part.text, 0);
      out.add(s.output_end, 0);
      return;
  }
}

RenderedConversation render(const Tokenizer& tokenizer, std::span<const Message> messages,
                            int64_t max_tokens) {
  if (const std::string why = conversation_problem(messages); !why.empty()) {
    throw DataError("{}", why);
  }
  const ChatTokens s(tokenizer);
  Rendering out(tokenizer, max_tokens);
  out.add(s.bos, 0);
  std::string system;
  for (const Message& message : messages) {
    if (message.role == Role::kSystem) {
      system = std::get<std::string>(message.content) + "\n\n";
    } else if (message.role == Role::kUser) {
      out.add(s.user_start, 0);
      // One string: merges cross from the system's words to the user's.
      out.add(std::exchange(system, {}) + std::get<std::string>(message.content), 0);
      out.add(s.user_end, 0);
    } else {
      out.add(s.assistant_start, 0);
      if (const auto* const text = std::get_if<std::string>(&message.content)) {
        out.add(*text, 1);
      } else {
        for (const MessagePart& part : std::get<std::vector<MessagePart>>(message.content)) {
          add_part(out, s, part);
        }
      }
      out.add(s.assistant_end, 1);
    }
  }
  return out.take();
}

}  // namespace

ChatTokens::ChatTokens(const Tokenizer& t)
    : bos(t.bos_id()),
      user_start(t.special_id("<|user_start|>")),
      user_end(t.special_id("<|user_end|>")),
      assistant_start(t.special_id("<|assistant_start|>")),
      assistant_end(t.special_id("<|assistant_end|>")),
      python_start(t.special_id("<|python_start|>")),
      python_end(t.special_id("<|python_end|>")),
      output_start(t.special_id("<|output_start|>")),
      output_end(t.special_id("<|output_end|>")) {}

std::string_view role_name(Role role) noexcept { return kRoles[static_cast<size_t>(role)]; }

Conversation parse_conversation(std::string_view json, std::string_view where) {
  try {
    return conversation_of(Json::parse(json), where);
  } catch (const Json::exception& error) {
    throw DataError("{}: not JSON: {}", where, error.what());
  }
}

Conversation conversation_of(const Json& parsed, std::string_view where) {
  const Json* messages = &parsed;
  if (parsed.is_object()) {
    const auto member = parsed.find("messages");
    if (member == parsed.end()) throw DataError("{}: no 'messages'", where);
    messages = &*member;
  }
  if (!messages->is_array()) {
    throw DataError("{}: the messages are not a list but {}", where, messages->type_name());
  }
  Conversation conversation;
  for (size_t i = 0; i < messages->size(); ++i) {
    conversation.messages.push_back(
        parse_message((*messages)[i], fmt::format("{}: message {}", where, i)));
  }
  return conversation;
}

std::string conversation_problem(std::span<const Message> messages) {
  const size_t first = !messages.empty() && messages[0].role == Role::kSystem ? 1 : 0;
  if (messages.size() == first) {
    return fmt::format("message {}: not there, a conversation needs at least one of a user", first);
  }
  for (size_t i = 0; i < messages.size(); ++i) {
    const Role expected = i < first              ? Role::kSystem
                          : (i - first) % 2 == 0 ? Role::kUser
                                                 : Role::kAssistant;
    const std::string_view name = role_name(messages[i].role);
    if (messages[i].role != expected) {
      return fmt::format("message {}: role '{}', expected '{}'", i, name, role_name(expected));
    }
    if (expected != Role::kAssistant && !std::holds_alternative<std::string>(messages[i].content)) {
      return fmt::format(
          "message {}: the content of role '{}' is a list of parts, expected a string", i, name);
    }
  }
  return {};
}

std::string conversation_json(const Conversation& conversation) {
  nlohmann::ordered_json messages = nlohmann::ordered_json::array();
  for (const Message& message : conversation.messages) {
    nlohmann::ordered_json content;
    if (const auto* const text = std::get_if<std::string>(&message.content)) {
      content = *text;
    } else {
      content = nlohmann::ordered_json::array();
      for (const MessagePart& part : std::get<std::vector<MessagePart>>(message.content)) {
        content.push_back(
            {{"type", kPartTypes[static_cast<size_t>(part.type)]}, {"text", part.text}});
      }
    }
    messages.push_back({{"role", role_name(message.role)}, {"content", std::move(content)}});
  }
  return nlohmann::ordered_json{{"messages", std::move(messages)}}.dump(
             2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) +
         "\n";
}

RenderedConversation render_conversation(const Tokenizer& tokenizer,
                                         const Conversation& conversation, int64_t max_tokens) {
  return render(tokenizer, conversation.messages, max_tokens);
}

std::vector<int32_t> render_for_completion(const Tokenizer& tokenizer,
                                           const Conversation& conversation, int64_t max_tokens) {
  const std::span<const Message> messages = conversation.messages;
  if (messages.empty() || messages.back().role != Role::kAssistant) {
    throw DataError("message {}: a completion is of the assistant's last message, this is {}",
                    messages.empty() ? 0 : messages.size() - 1,
                    messages.empty() ? "not there" : role_name(messages.back().role));
  }
  std::vector<int32_t> ids = render(tokenizer, messages.first(messages.size() - 1), max_tokens).ids;
  ids.push_back(tokenizer.special_id("<|assistant_start|>"));
  return ids;
}

std::string visualize_tokenization(const Tokenizer& tokenizer, std::span<const int32_t> ids,
                                   std::span<const uint8_t> mask, bool with_ids) {
  NC_CHECK(ids.size() == mask.size(), "{} ids, {} masks", ids.size(), mask.size());
  constexpr std::string_view kGreen = "\x1b[92m";
  constexpr std::string_view kRed = "\x1b[91m";
  constexpr std::string_view kGrey = "\x1b[90m";
  constexpr std::string_view kPlain = "\x1b[0m";
  std::string out;
  for (size_t i = 0; i < ids.size(); ++i) {
    if (i > 0) out += '|';
    out += fmt::format("{}{}{}", mask[i] != 0 ? kGreen : kRed,
                       utf8::controls_shown(tokenizer.decode(ids.subspan(i, 1))), kPlain);
    if (with_ids) out += fmt::format("{}({}){}", kGrey, ids[i], kPlain);
  }
  return out;
}

}  // namespace nanochat
