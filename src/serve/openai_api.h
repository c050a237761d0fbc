/// OpenAI's API: /v1/chat/completions, /v1/completions, /v1/models.
#pragma once

#include <memory>
#include <string_view>

#include "serve/exchange.h"
#include "serve/generation.h"

namespace nanochat::serve {

/// All throw ApiError before anything has been answered.
void answer_chat(ModelService& service, const std::shared_ptr<Exchange>& exchange);
void answer_completion(ModelService& service, const std::shared_ptr<Exchange>& exchange);

/// {"object": "list", "data": [...]}; null: no model.
[[nodiscard]] nlohmann::ordered_json models_json(const ModelService* service);
[[nodiscard]] nlohmann::ordered_json model_json(const ModelService* service, std::string_view name);

/// What a quiet stream is kept open with: a comment of server-sent events.
inline constexpr std::string_view kPing = ": ping\n\n";
/// Status and headers of a stream of events.
[[nodiscard]] HttpResponse event_stream_head();

}  // namespace nanochat::serve
