#include "tasks/multiple_choice.h"

#include <fmt/format.h>

#include "core/error.h"

namespace nanochat {

std::string render_multiple_choice(std::string_view question, std::span<const std::string> letters,
                                   std::span<const std::string> choices) {
  NC_CHECK(letters.size() == choices.size(), "{} letters, {} choices", letters.size(),
           choices.size());
  std::string text = fmt::format("Multiple Choice question: {}\n", question);
  for (size_t i = 0; i < letters.size(); ++i) {
    text += fmt::format("- {}={}\n", choices[i], letters[i]);
  }
  return text + "\nRespond only with the letter of the correct answer.";
}

bool MultipleChoiceTask::evaluate(int64_t i, std::string_view response) const {
  return response == std::get<std::string>(example(i).conversation.messages.back().content);
}

}  // namespace nanochat
