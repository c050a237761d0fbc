#include "tasks/texts.h"

extern "C" {
extern const char nanochat_english_words[], nanochat_english_words_end[];
extern const char nanochat_identity_conversations[], nanochat_identity_conversations_end[];
}

namespace nanochat::texts {

std::string_view english_words() noexcept {
  return {nanochat_english_words, nanochat_english_words_end};
}

std::string_view identity_conversations() noexcept {
  return {nanochat_identity_conversations, nanochat_identity_conversations_end};
}

}  // namespace nanochat::texts
