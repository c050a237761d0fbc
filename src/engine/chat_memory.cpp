#include "engine/chat_memory.h"

#include <utility>

#include "core/error.h"

namespace nanochat {
namespace {

/// The tokens of an assistant's message; between <|assistant_start|> and <|assistant_end|>.
std::vector<int32_t> encode_answer(const Tokenizer& tokenizer, const ChatTokens& tokens,
                                   const Message& message) {
  std::vector<int32_t> ids;
  if (const auto* const text = std::get_if<std::string>(&message.content)) {
    tokenizer.encode_to(*text, ids);
    return ids;
  }
  for (const MessagePart& part : std::get<std::vector<MessagePart>>(message.content)) {
    if (part.type == PartType::kPython) ids.push_back(tokens.python_start);
    if (part.type == PartType::kPythonOutput) ids.push_back(tokens.output_start);
    tokenizer.encode_to(part.text, ids);
    if (part.type == PartType::kPython) ids.push_back(tokens.python_end);
    if (part.type == PartType::kPythonOutput) ids.push_back(tokens.output_end);
  }
  return ids;
}

}  // namespace

std::vector<MessagePart> answer_parts(const Tokenizer& tokenizer, std::span<const int32_t> ids) {
  const ChatTokens tokens(tokenizer);
  std::vector<MessagePart> parts;
  PartType type = PartType::kText;
  std::vector<int32_t> text;
  const auto end_part = [&](PartType next) {
    // Special tokens without text between them make no text; an empty result is one.
    if (!text.empty() || type != PartType::kText) parts.push_back({type, tokenizer.decode(text)});
    text.clear();
    type = next;
  };
  for (const int32_t id : ids) {
    if (id == tokens.python_start) {
      end_part(PartType::kPython);
    } else if (id == tokens.output_start) {
      end_part(PartType::kPythonOutput);
    } else if ((id == tokens.python_end && type == PartType::kPython) ||
               (id == tokens.output_end && type == PartType::kPythonOutput)) {
      end_part(PartType::kText);
    } else if (!tokenizer.is_special(id)) {
      text.push_back(id);
    }
  }
  end_part(PartType::kText);
  return parts;
}

ChatMemory::ChatMemory(const Tokenizer& tokenizer) : tokenizer_(&tokenizer), tokens_(tokenizer) {}

void ChatMemory::add_message(std::string text) {
  NC_CHECK(!waits(), "the last message has no answer yet");
  std::vector<int32_t> ids = tokenizer_->encode(text);
  turns_.push_back({.message = std::move(text), .message_ids = std::move(ids), .answer = {}});
}

void ChatMemory::add_answer(std::vector<int32_t> ids) {
  NC_CHECK(waits(), "no message waits for an answer");
  turns_.back().answer = std::move(ids);
}

bool ChatMemory::remove_answer() {
  if (turns_.empty() || !turns_.back().answer) return false;
  turns_.back().answer.reset();
  return true;
}

void ChatMemory::remove_turn() {
  NC_CHECK(!turns_.empty(), "there is no turn");
  turns_.pop_back();
}

std::vector<int32_t> ChatMemory::prompt() const { return prompt_of_last(turns()); }

std::vector<int32_t> ChatMemory::prompt_of_last(int64_t n) const {
  NC_CHECK(waits(), "no message waits for an answer");
  std::vector<int32_t> ids{tokens_.bos};
  bool first = true;
  for (size_t i = turns_.size() - static_cast<size_t>(n); i < turns_.size(); ++i) {
    const Turn& turn = turns_[i];
    ids.push_back(tokens_.user_start);
    if (std::exchange(first, false) && !system_.empty()) {
      // One string, as in training: merges cross from the system's words to the user's.
      tokenizer_->encode_to(system_ + "\n\n" + turn.message, ids);
    } else {
      ids.insert(ids.end(), turn.message_ids.begin(), turn.message_ids.end());
    }
    ids.push_back(tokens_.user_end);
    ids.push_back(tokens_.assistant_start);
    if (!turn.answer) break;
    ids.insert(ids.end(), turn.answer->begin(), turn.answer->end());
    ids.push_back(tokens_.assistant_end);
  }
  return ids;
}

int64_t ChatMemory::forget_oldest(int64_t max_tokens) {
  int64_t keep = turns();
  while (keep > 1 && std::ssize(prompt_of_last(keep)) > max_tokens) --keep;
  const int64_t forgotten = turns() - keep;
  turns_.erase(turns_.begin(), turns_.begin() + forgotten);
  return forgotten;
}

Conversation ChatMemory::conversation() const {
  Conversation all;
  if (!system_.empty()) all.messages.push_back({Role::kSystem, system_});
  for (const Turn& turn : turns_) {
    all.messages.push_back({Role::kUser, turn.message});
    if (!turn.answer) continue;
    std::vector<MessagePart> parts = answer_parts(*tokenizer_, *turn.answer);
    Message message{Role::kAssistant, std::string()};
    if (parts.size() == 1 && parts[0].type == PartType::kText) {
      message.content = std::move(parts[0].text);
    } else if (!parts.empty()) {
      message.content = std::move(parts);
    }
    all.messages.push_back(std::move(message));
  }
  return all;
}

void ChatMemory::set_conversation(const Conversation& conversation) {
  // Says what is wrong with the roles; nothing is rendered.
  static_cast<void>(render_conversation(*tokenizer_, conversation, 0));
  if (conversation.messages.back().role != Role::kAssistant) {
    throw DataError("message {}: the last one is the user's, it has no answer",
                    conversation.messages.size() - 1);
  }
  std::string system;
  std::vector<Turn> turns;
  for (const Message& message : conversation.messages) {
    if (message.role == Role::kAssistant) {
      turns.back().answer = encode_answer(*tokenizer_, tokens_, message);
      continue;
    }
    const auto& text = std::get<std::string>(message.content);
    if (message.role == Role::kSystem) {
      system = text;
    } else {
      turns.push_back({.message = text, .message_ids = tokenizer_->encode(text), .answer = {}});
    }
  }
  system_ = std::move(system);
  turns_ = std::move(turns);
}

}  // namespace nanochat
