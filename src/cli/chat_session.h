/// What `nanochat chat` does, without a terminal: lines that become messages and commands, and a
/// conversation with an engine.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/chat_memory.h"
#include "engine/engine.h"

namespace nanochat::cli {

// ---- what is typed -----------------------------------------------------------------------------

enum class ChatVerb : uint8_t {
  kMessage,
  kClear,
  kSystem,
  kTemperature,
  kRegenerate,
  kSave,
  kLoad,
  kHelp,
  kExit
};
struct ChatInput {
  ChatVerb verb = ChatVerb::kMessage;
  std::string text{};  ///< the message, or what stands behind the command
};

/// Puts lines together. A line that ends with a backslash goes on with the next; a line """ begins
/// a block and another ends it.
class LineJoiner {
 public:
  /// One line without its end. Nothing: there is more to come.
  [[nodiscard]] std::optional<std::string> push(std::string_view line);
  /// What is there when no more comes.
  [[nodiscard]] std::optional<std::string> finish();
  [[nodiscard]] bool waiting() const noexcept { return in_block_ || continues_; }

 private:
  std::string text_;
  bool in_block_ = false, continues_ = false;
};

/// Without space at both ends; bytes that are not UTF-8 become U+FFFD.
[[nodiscard]] std::string clean_message(std::string_view text);

/// "/clear" and so on are commands, all else is a message; "//" at the beginning stands for a slash
/// in one. Cleaned as by clean_message(). Nothing: an empty line. Throws UsageError for an unknown
/// command, or one that misses what should stand behind it.
[[nodiscard]] std::optional<ChatInput> parse_chat_input(std::string_view text);

/// What /help shows.
[[nodiscard]] std::string chat_help();

// ---- the conversation --------------------------------------------------------------------------

struct ChatSettings {
  SamplingOptions sampling{.temperature = 0.6, .top_k = 50};
  int64_t max_tokens = 256;  ///< of an answer
  uint64_t seed = 42;
  std::vector<std::string> stop_strings{};
  bool use_tool = false;
};

struct ChatAnswer {
  std::vector<MessagePart> parts{};
  FinishReason finish = FinishReason::kStop;
  int64_t tokens = 0;                     ///< new ones, results of tools included
  int64_t prompt_tokens = 0;              ///< the conversation before it
  int64_t reused_tokens = 0;              ///< of these, found in the cache
  int64_t forgotten_turns = 0;            ///< the oldest, for lack of room
  std::optional<double> first_token_s{};  ///< from the message to the first token; none: no token
  std::optional<double> process_first_token_s{};  ///< likewise from the start of the process
  std::optional<double> tokens_per_second{};      ///< sampled ones behind the first

  /// Its text without tool calls.
  [[nodiscard]] std::string text() const;
};

/// A piece of an answer, as it is written: what it is, and text that may be empty. Valid UTF-8 with
/// control characters in it.
using ChatListener = std::function<void(PartType, std::string_view)>;

/// One conversation. Not thread-safe.
class ChatSession {
 public:
  /// engine (of the tokenizer) and tokenizer must outlive the session.
  ChatSession(Engine& engine, const Tokenizer& tokenizer, ChatSettings settings);

  [[nodiscard]] ChatSettings& settings() noexcept { return settings_; }
  [[nodiscard]] ChatMemory& memory() noexcept { return memory_; }
  [[nodiscard]] const ChatMemory& memory() const noexcept { return memory_; }

  /// Says `message` and returns the answer. `stop` is asked before each token; when it says yes,
  /// what has been written so far is the answer. Turns are forgotten, the oldest first, when there
  /// would be no room for max_tokens more (or half of the context, if that is less).
  ///
  /// Throws UsageError when the message alone, with the system text, does not fit into the context.
  /// Whatever is thrown, also by the listener, the conversation is then as it was before, but for
  /// forgotten turns.
  ChatAnswer say(std::string message, const ChatListener& listener,
                 const std::function<bool()>& stop = {});
  /// Another answer to the last message, in place of the last one. Throws UsageError where there is
  /// none.
  ChatAnswer regenerate(const ChatListener& listener, const std::function<bool()>& stop = {});

  /// Writes the conversation for parse_conversation() to read; throws as AtomicFile. UsageError
  /// when nothing has been said.
  void save(const std::filesystem::path& path) const;
  /// In place of what was said. Throws as read_file, parse_conversation and set_conversation.
  void load(const std::filesystem::path& path);

 private:
  ChatAnswer answer(const ChatListener& listener, const std::function<bool()>& stop);
  [[nodiscard]] std::vector<int32_t> without_stop_string(std::vector<int32_t> ids,
                                                         std::string_view shown) const;

  Engine& engine_;
  const Tokenizer& tokenizer_;
  ChatTokens tokens_;
  ChatSettings settings_;
  ChatMemory memory_;
  uint32_t sample_ = 0;  // of the last message: how often it was answered before
};

}  // namespace nanochat::cli
