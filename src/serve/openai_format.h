/// Answers as OpenAI's API writes them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "engine/engine.h"
#include "tokenizer/conversation.h"

namespace nanochat::serve {

/// "stop" or "length".
[[nodiscard]] std::string_view finish_name(FinishReason reason) noexcept;

/// A token as text for people: its characters, or \xf0\x9f for bytes that are none.
[[nodiscard]] std::string token_text(const Tokenizer& tokenizer, int32_t id);

/// Of a chat: {"token": ..., "logprob": ..., "bytes": [...], "top_logprobs": [...]}. The event has
/// a drawn token and its log-probability.
[[nodiscard]] nlohmann::ordered_json chat_logprob(const Tokenizer& tokenizer,
                                                  const GenerationEvent& event);

/// Of a completion: {"tokens": [...], "token_logprobs": [...], "top_logprobs": [...],
/// "text_offset": [...]}, offsets in characters.
class CompletionLogprobs {
 public:
  void add(const Tokenizer& tokenizer, const GenerationEvent& event);
  /// Those since the last call.
  [[nodiscard]] nlohmann::ordered_json take();
  [[nodiscard]] bool empty() const noexcept { return tokens_.empty(); }

 private:
  nlohmann::ordered_json tokens_ = nlohmann::ordered_json::array(), logprobs_ = tokens_,
                         top_ = tokens_, offsets_ = tokens_;
  size_t offset_ = 0;
};

/// {"prompt_tokens": ..., "completion_tokens": ..., "total_tokens": ...}
[[nodiscard]] nlohmann::ordered_json usage_json(int64_t prompt_tokens, int64_t new_tokens);

/// What is the same in every chunk of an answer is written once.
class ChunkWriter {
 public:
  ChunkWriter(std::string_view object, std::string_view id, int64_t created, std::string_view model,
              bool with_usage);

  /// An event with one choice: {"index": index, <inner>, "logprobs": ..., "finish_reason": ...}.
  ///   inner  "delta" or "text" with its value, as JSON text: "\"text\":\"Hello\""
  [[nodiscard]] std::string chunk(size_t index, std::string_view inner,
                                  const nlohmann::ordered_json& logprobs,
                                  std::string_view finish) const;
  /// The event with empty choices.
  [[nodiscard]] std::string usage_chunk(const nlohmann::ordered_json& usage,
                                        const nlohmann::ordered_json& timings) const;

 private:
  std::string head_, tail_;
};

/// "data: <json>\n\n".
[[nodiscard]] std::string sse_event(std::string_view json);
/// As a JSON text, quotes included.
[[nodiscard]] std::string json_text(std::string_view text);

}  // namespace nanochat::serve
