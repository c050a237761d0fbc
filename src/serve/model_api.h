/// What the page asks of a model beside answers: tokens, and what would come next.
#pragma once

#include <memory>

#include "serve/exchange.h"
#include "serve/generation.h"

namespace nanochat::serve {

inline constexpr int64_t kMaxTokenizeBytes = int64_t{256} << 10;
inline constexpr int64_t kMaxNextTop = 1000;

/// docs/api.md, "POST /api/tokenize", "POST /api/next". Throw ApiError.
void answer_tokenize(const ModelService& service, const std::shared_ptr<Exchange>& exchange);
void answer_next(ModelService& service, const std::shared_ptr<Exchange>& exchange);

/// What POST /api/next asks, checked but for the model: ids that are none, and too many.
struct NextRequest {
  std::vector<int32_t> ids{};
  int64_t position = -1;  ///< in ids; what comes after it
  int64_t top = 20;
};
[[nodiscard]] NextRequest parse_next_request(const nlohmann::json& body);

}  // namespace nanochat::serve
