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

}  // namespace nanochat::serve
