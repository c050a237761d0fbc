#include "serve/model_api.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "serve/api_error.h"
#include "serve/json_fields.h"
#include "tokenizer/formats_text.h"
#include "tokenizer/utf8.h"

namespace nanochat::serve {
namespace {

using Json = nlohmann::ordered_json;

Json token_json(const Tokenizer& tokenizer, int32_t id) {
  const bool special = tokenizer.is_special(id);
  const std::string_view bytes = tokenizer.token_bytes(id);
  const bool is_text = utf8::find_invalid(bytes) == bytes.size();
  return {{"id", id},
          {"bytes", to_base64(bytes)},
          {"text", is_text ? Json(bytes) : Json(nullptr)},
          {"special", special}};
}

/// One token of the engine, for the logits that it is drawn from.
class NextGeneration final : public Generation {
 public:
  NextGeneration(ModelService& service, const std::shared_ptr<Exchange>& exchange, int64_t top,
                 std::optional<int32_t> actual)
      : Generation(service, exchange), top_(top), actual_(actual) {}

 private:
  void hear(size_t, const GenerationEvent& event) override {
    if (!event.top.empty()) all_ = event.top;
  }
  void complete() override {
    const Tokenizer& tokenizer = service().tokenizer;
    Json top = Json::array();
    for (const TokenLogprob& t :
         std::span(all_).first(static_cast<size_t>(std::min(top_, std::ssize(all_))))) {
      top.push_back(token_json(tokenizer, t.id));
      top.back()["logprob"] = t.logprob;
    }
    Json actual = nullptr;
    if (actual_) {
      const auto found = std::ranges::find(all_, *actual_, &TokenLogprob::id);
      if (found != all_.end()) {
        actual = {
            {"id", *actual_}, {"logprob", found->logprob}, {"rank", found - all_.begin() + 1}};
      }
    }
    exchange().respond(json_response({{"top", std::move(top)}, {"actual", std::move(actual)}}));
  }
  void fail(int status, std::string_view message) override {
    exchange().respond(error_response(status, message, "generation_failed"));
  }

  int64_t top_;
  std::optional<int32_t> actual_;
  std::vector<TokenLogprob> all_;  // of the vocabulary, the likeliest first
};

}  // namespace

void answer_tokenize(const ModelService& service, const std::shared_ptr<Exchange>& exchange) {
  const nlohmann::json body = parse_body(exchange->request().body);
  const std::optional<std::string> text = text_member(body, "text");
  if (!text) throw bad_parameter("text", "missing");
  if (std::ssize(*text) > kMaxTokenizeBytes) {
    throw bad_parameter("text", "{} bytes, expected at most {}", text->size(), kMaxTokenizeBytes);
  }
  Json tokens = Json::array();
  for (const int32_t id : service.tokenizer.encode(*text)) {
    tokens.push_back(token_json(service.tokenizer, id));
  }
  exchange->respond(json_response({{"tokens", std::move(tokens)}}));
}

NextRequest parse_next_request(const nlohmann::json& body) {
  NextRequest request;
  const nlohmann::json& ids = member(body, "ids");
  if (!ids.is_array()) throw bad_parameter("ids", "missing, or no list");
  for (size_t i = 0; i < ids.size(); ++i) {
    const std::optional<int64_t> id = integer_of(ids[i]);
    if (!id || *id < 0 || *id > std::numeric_limits<int32_t>::max()) {
      throw bad_parameter(fmt::format("ids[{}]", i), "no token");
    }
    request.ids.push_back(static_cast<int32_t>(*id));
  }
  const int64_t last = std::ssize(request.ids) - 1;
  request.position = integer_member(body, "position", -1, last).value_or(last);
  request.top = integer_member(body, "top", 0, kMaxNextTop).value_or(20);
  return request;
}

void answer_next(ModelService& service, const std::shared_ptr<Exchange>& exchange) {
  const NextRequest request = parse_next_request(parse_body(exchange->request().body));
  const int32_t bos = service.tokenizer.bos_id();
  const auto& ids = request.ids;
  for (size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] >= service.tokenizer.vocab_size()) {
      throw bad_parameter(fmt::format("ids[{}]", i), "{} is no token of this model", ids[i]);
    }
  }
  // Ids that begin with it and position -1: what comes first of all is still what follows it.
  std::vector<int32_t> prompt(ids.begin(), ids.begin() + request.position + 1);
  if (prompt.empty() || prompt[0] != bos) prompt.insert(prompt.begin(), bos);
  service.check_prompt(prompt);
  std::optional<int32_t> actual;
  if (request.position + 1 < std::ssize(ids)) {
    actual = ids[static_cast<size_t>(request.position) + 1];
  }
  std::vector<GenerationRequest> requests;
  requests.push_back({.prompt = std::move(prompt),
                      .max_tokens = 1,
                      .sampling = {.temperature = 0},
                      .top_logprobs = service.tokenizer.vocab_size()});
  std::make_shared<NextGeneration>(service, exchange, request.top, actual)
      ->start(std::move(requests));
}

}  // namespace nanochat::serve
