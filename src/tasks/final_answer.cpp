#include "tasks/final_answer.h"

#include <algorithm>

namespace nanochat {

std::optional<std::string> final_answer(std::string_view text) {
  constexpr std::string_view kMark = "#### ";
  for (size_t at = text.find(kMark); at != std::string_view::npos; at = text.find(kMark, at + 1)) {
    const size_t begin = at + kMark.size();
    const size_t digits = begin + (text.substr(begin).starts_with('-') ? 1 : 0);
    const size_t end = std::min(text.find_first_not_of("0123456789.,", digits), text.size());
    if (digits >= end) continue;
    std::string number(text.substr(begin, end - begin));
    std::erase(number, ',');
    return number;
  }
  return std::nullopt;
}

bool has_same_final_answer(const Conversation& reference, std::string_view response) {
  const auto& content = reference.messages.back().content;
  const auto* const parts = std::get_if<std::vector<MessagePart>>(&content);
  const std::string_view last = parts == nullptr ? std::get<std::string>(content)
                                : parts->empty() ? std::string_view()
                                                 : parts->back().text;
  const std::optional<std::string> expected = final_answer(last);
  return expected && final_answer(response) == expected;
}

}  // namespace nanochat
