#include "serve/openai_format.h"

#include <utility>

#include <fmt/format.h>

#include "serve/api_error.h"
#include "tokenizer/utf8.h"

namespace nanochat::serve {
namespace {

using Json = nlohmann::ordered_json;

/// A special token has no bytes: its name stands nowhere in a text.
Json bytes_json(const Tokenizer& tokenizer, int32_t id) {
  if (tokenizer.is_special(id)) return nullptr;
  Json bytes = Json::array();
  for (const char c : tokenizer.token_bytes(id)) bytes.push_back(static_cast<uint8_t>(c));
  return bytes;
}

Json entry(const Tokenizer& tokenizer, int32_t id, float logprob) {
  return {{"token", token_text(tokenizer, id)},
          {"logprob", logprob},
          {"bytes", bytes_json(tokenizer, id)}};
}

}  // namespace

std::string_view finish_name(FinishReason reason) noexcept {
  return reason == FinishReason::kStop ? "stop" : "length";
}

std::string token_text(const Tokenizer& tokenizer, int32_t id) {
  const std::string_view bytes = tokenizer.token_bytes(id);
  if (utf8::find_invalid(bytes) == bytes.size()) return std::string(bytes);
  std::string text;
  for (const char c : bytes) text += fmt::format("\\x{:02x}", static_cast<uint8_t>(c));
  return text;
}

Json chat_logprob(const Tokenizer& tokenizer, const GenerationEvent& event) {
  Json json = entry(tokenizer, event.id, event.logprob.value_or(0));
  json["top_logprobs"] = Json::array();
  for (const TokenLogprob& t : event.top) {
    json["top_logprobs"].push_back(entry(tokenizer, t.id, t.logprob));
  }
  return json;
}

void CompletionLogprobs::add(const Tokenizer& tokenizer, const GenerationEvent& event) {
  const std::string text = token_text(tokenizer, event.id);
  tokens_.push_back(text);
  logprobs_.push_back(event.logprob.value_or(0));
  Json top = Json::object();
  for (const TokenLogprob& t : event.top) top[token_text(tokenizer, t.id)] = t.logprob;
  top_.push_back(std::move(top));
  offsets_.push_back(offset_);
  offset_ += utf8::count(text);
}

Json CompletionLogprobs::take() {
  return {{"tokens", std::exchange(tokens_, Json::array())},
          {"token_logprobs", std::exchange(logprobs_, Json::array())},
          {"top_logprobs", std::exchange(top_, Json::array())},
          {"text_offset", std::exchange(offsets_, Json::array())}};
}

Json usage_json(int64_t prompt_tokens, int64_t new_tokens) {
  return {{"prompt_tokens", prompt_tokens},
          {"completion_tokens", new_tokens},
          {"total_tokens", prompt_tokens + new_tokens}};
}

ChunkWriter::ChunkWriter(std::string_view object, std::string_view id, int64_t created,
                         std::string_view model, bool with_usage)
    : head_(fmt::format(R"(data: {{"id":{},"object":{},"created":{},"model":{},"choices":[)",
                        json_text(id), json_text(object), created, json_text(model))),
      tail_(with_usage ? "}],\"usage\":null}\n\n" : "}]}\n\n") {}

std::string ChunkWriter::chunk(size_t index, std::string_view inner, const Json& logprobs,
                               std::string_view finish) const {
  std::string out = head_;
  fmt::format_to(std::back_inserter(out), "{{\"index\":{},{},\"logprobs\":", index, inner);
  out += logprobs.is_null() ? "null" : to_text(logprobs);
  out += ",\"finish_reason\":";
  out += finish.empty() ? "null" : json_text(finish);
  return out + tail_;
}

std::string ChunkWriter::usage_chunk(const Json& usage, const Json& timings) const {
  return fmt::format("{}],\"usage\":{},\"timings\":{}}}\n\n", head_, to_text(usage),
                     to_text(timings));
}

std::string sse_event(std::string_view json) { return fmt::format("data: {}\n\n", json); }

std::string json_text(std::string_view text) { return to_text(Json(text)); }

}  // namespace nanochat::serve
