/// What clients of OpenAI's API ask for, checked. Pure: no model, no tokenizer.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include <nlohmann/json.hpp>

#include "engine/sampler.h"
#include "tokenizer/conversation.h"

namespace nanochat::serve {

inline constexpr int64_t kMaxChoices = 128;
inline constexpr int64_t kMaxStops = 4;
inline constexpr size_t kMaxStopLength = 256;  ///< characters
inline constexpr int64_t kMaxTopLogprobs = 20;

/// What a request that does not say gets.
struct GenerationDefaults {
  double temperature = 0.8;
  int64_t top_k = 50;
  int64_t max_tokens = 512;  ///< of upstream's API; in OpenAI's it is what the context has room for
};

/// What chat and completion requests have in common.
struct GenerationParams {
  std::optional<std::string> model{};
  int64_t n = 1;  ///< answers to each prompt
  bool stream = false;
  bool include_usage = false;  ///< in a stream
  SamplingOptions sampling{};
  std::optional<uint64_t> seed{};
  std::optional<int64_t> max_tokens{};
  std::vector<std::string> stop_strings{};
  std::optional<int64_t> top_logprobs{};  ///< 0: of the tokens drawn only
};

struct ChatRequest {
  GenerationParams params{};
  std::vector<Message> messages{};
};

struct CompletionRequest {
  GenerationParams params{};
  std::vector<std::variant<std::string, std::vector<int32_t>>> prompts{};  ///< texts, or ids
  bool echo = false;
};

/// POST /v1/chat/completions, and /v1/completions. Names that they do not know are ignored; what
/// they know and cannot do is refused unless it says what is done anyway. Throw ApiError (400).
[[nodiscard]] ChatRequest parse_chat_request(const nlohmann::json& body,
                                             const GenerationDefaults& defaults);
[[nodiscard]] CompletionRequest parse_completion_request(const nlohmann::json& body);

}  // namespace nanochat::serve
