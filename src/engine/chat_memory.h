/// What has been said in a chat, as the very tokens that the model saw and wrote.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "tokenizer/conversation.h"

namespace nanochat {

/// An answer's tokens by what they are: text, python blocks (also one that did not end) and their
/// results, in order; other special tokens are left out. UTF-8, U+FFFD for what is not.
[[nodiscard]] std::vector<MessagePart> answer_parts(const Tokenizer& tokenizer,
                                                    std::span<const int32_t> ids);

/// The same token by token, while an answer is being written.
class PartTracker {
 public:
  explicit PartTracker(const ChatTokens& tokens) : tokens_(tokens) {}
  /// Of the text that comes with the next token: a special token has none, so what comes with it is
  /// the rest of what stood before.
  [[nodiscard]] PartType type() const noexcept { return type_; }
  void push(int32_t id) noexcept {
    if (id == tokens_.python_start) type_ = PartType::kPython;
    if (id == tokens_.output_start) type_ = PartType::kPythonOutput;
    if (id == tokens_.python_end || id == tokens_.output_end) type_ = PartType::kText;
  }

 private:
  ChatTokens tokens_;
  PartType type_ = PartType::kText;
};

/// A conversation in turns: a user's message and its answer.
///
/// Answers stay the tokens that were drawn. Their text encoded again may give others (a model does
/// not always write the tokens that the encoder would), and then an engine would find nothing of
/// the conversation in its cache. Not thread-safe.
class ChatMemory {
 public:
  /// The tokenizer must outlive this. Throws NotFoundError as ChatTokens.
  explicit ChatMemory(const Tokenizer& tokenizer);

  /// Stands in front of the oldest message that is remembered, as in the chat template; empty:
  /// none.
  void set_system(std::string text) { system_ = std::move(text); }
  [[nodiscard]] const std::string& system() const noexcept { return system_; }

  /// The last turn must have its answer.
  void add_message(std::string text);
  /// To the last message, which has none yet; without <|assistant_end|>.
  void add_answer(std::vector<int32_t> ids);
  /// The last message waits for an answer again. False: nothing has been answered.
  bool remove_answer();
  /// The last message and its answer.
  void remove_turn();
  void clear() { turns_.clear(); }

  [[nodiscard]] int64_t turns() const noexcept { return std::ssize(turns_); }
  /// The last message has no answer.
  [[nodiscard]] bool waits() const noexcept { return !turns_.empty() && !turns_.back().answer; }

  /// What the model is to continue: all of it, then <|assistant_start|>. Only while waits().
  [[nodiscard]] std::vector<int32_t> prompt() const;
  /// Of the prompt with the last message alone.
  [[nodiscard]] int64_t tokens_of_last() const { return std::ssize(prompt_of_last(1)); }
  /// Forgets the oldest turns until the prompt has at most max_tokens or one turn is left; returns
  /// how many. Only while waits().
  int64_t forget_oldest(int64_t max_tokens);

  [[nodiscard]] Conversation conversation() const;
  /// In place of all that is there. Throws DataError, with nothing changed, when the roles are not
  /// those of the chat template or the last message is not the assistant's.
  void set_conversation(const Conversation& conversation);

 private:
  struct Turn {
    std::string message;
    std::vector<int32_t> message_ids;  // without the system text
    std::optional<std::vector<int32_t>> answer;
  };
  /// Of the last n turns.
  [[nodiscard]] std::vector<int32_t> prompt_of_last(int64_t n) const;

  const Tokenizer* tokenizer_;
  ChatTokens tokens_;
  std::string system_;
  std::vector<Turn> turns_;
};

}  // namespace nanochat
