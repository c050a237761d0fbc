/// Conversations between a user and the assistant, for the stages after the base model.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/synth/questions.h"

namespace nanochat::synth {

/// Greetings, who the assistant is, thanks.
struct SmallTalk {
  std::span<const std::string_view> user, assistant;
};

[[nodiscard]] std::span<const SmallTalk> small_talk(Language language) noexcept;

struct Message {
  std::string role;  ///< "user", "assistant", in turns
  std::string content;
  std::optional<Question> question{};  ///< the one that it answers; none: small talk, or a user's
};

/// One to three questions, of which some are small talk (none where split is kHeldOut: then it is
/// one question).
[[nodiscard]] std::vector<Message> draw_conversation(const QuestionMaker& questions,
                                                     Language language, Split split, Dice& dice);

}  // namespace nanochat::synth
