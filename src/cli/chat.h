/// nanochat chat: talk with a model in the terminal.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "cli/chat_session.h"
#include "cli/commands.h"
#include "cli/loaded_model.h"

namespace nanochat::cli {

struct ChatOptions {
  InferenceOptions model{};
  int64_t context = 0;  ///< 0: the model's sequence_len
  std::optional<int64_t> max_memory_bytes{};
  ChatSettings settings{};
  std::string system{};
  std::string tools = "calculator";
  std::optional<std::string> prompt{};  ///< one answer, and the end; "-": standard input
  bool timing = false;                  ///< also without a prompt
};

/// Three ways: one answer (-p); a line at a time where standard input is no terminal or the result
/// is JSON; a conversation with line editing. docs/chat.md says what each prints and how it ends.
void run_chat(const CommonOptions& common, const ChatOptions& options);

}  // namespace nanochat::cli
