/// Upstream nanochat's API: POST /chat/completions, GET /health, GET /stats; for programs that were
/// written for it. Its limits are upstream's, and so are its words.
#pragma once

#include <memory>

#include "serve/exchange.h"
#include "serve/generation.h"

namespace nanochat::serve {

/// Errors are {"detail": ...}: 422 for what is missing or of another type, 400 for what is out of
/// range, and of ours 400 (too long for the context), 429, 503 (no model). Throws none of them.
void answer_upstream_chat(ModelService* service, const std::shared_ptr<Exchange>& exchange);

/// Slots of the engine stand for upstream's workers.
[[nodiscard]] nlohmann::ordered_json health_json(const ModelService* service);
[[nodiscard]] nlohmann::ordered_json stats_json(const ModelService* service);

/// What such a request says, for tests and the fuzzer; nothing of the model is asked.
struct UpstreamRequest {
  std::vector<Message> messages{};
  double temperature = 0;
  int64_t max_tokens = 0;
  int64_t top_k = 0;
};
/// Thrown for a request that upstream would refuse.
class UpstreamRefusal : public std::runtime_error {
 public:
  UpstreamRefusal(int status, nlohmann::ordered_json detail)
      : std::runtime_error("refused"), status_(status), detail_(std::move(detail)) {}
  [[nodiscard]] int status() const noexcept { return status_; }
  [[nodiscard]] const nlohmann::ordered_json& detail() const noexcept { return detail_; }

 private:
  int status_;
  nlohmann::ordered_json detail_;
};
[[nodiscard]] UpstreamRequest parse_upstream_request(std::string_view body,
                                                     const GenerationDefaults& defaults);

}  // namespace nanochat::serve
