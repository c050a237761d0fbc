#include "serve/openai_request.h"

#include <limits>
#include <string_view>
#include <utility>

#include "serve/api_error.h"
#include "serve/json_fields.h"
#include "serve/messages.h"
#include "tokenizer/utf8.h"

namespace nanochat::serve {
namespace {

using Json = nlohmann::json;

constexpr int64_t kMaxTokens = std::numeric_limits<int32_t>::max();

[[noreturn]] void refuse(const char* name, std::string_view why) {
  throw ApiError(400, fmt::format("{}: {}", name, why), "unsupported_parameter", name);
}

bool is_empty(const Json& value) {
  return value.is_null() || ((value.is_array() || value.is_object()) && value.empty());
}

/// What the engine cannot do. A value that asks for nothing passes.
void refuse_unsupported(const Json& body) {
  for (const char* const name : {"frequency_penalty", "presence_penalty"}) {
    if (number_member(body, name, -2, 2).value_or(0) != 0) {
      refuse(name, "not supported: repetition_penalty is (1: none)");
    }
  }
  if (!is_empty(member(body, "logit_bias"))) refuse("logit_bias", "not supported");
  for (const char* const name : {"tools", "functions"}) {
    if (!is_empty(member(body, name))) {
      refuse(name, "this model calls no tools of the client's, only those of the server");
    }
  }
  for (const char* const name : {"tool_choice", "function_call"}) {
    const Json& value = member(body, name);
    if (!value.is_null() && value != "none" && value != "auto") {
      refuse(name, "this model calls no tools of the client's");
    }
  }
  const Json& format = member(body, "response_format");
  if (!format.is_null() && !(format.is_object() && member(format, "type") == "text")) {
    refuse("response_format", "only {\"type\": \"text\"} is supported");
  }
  const Json& modalities = member(body, "modalities");
  if (!is_empty(modalities) && modalities != Json{"text"}) refuse("modalities", "only text");
  for (const char* const name : {"audio", "prediction", "web_search_options"}) {
    if (!member(body, name).is_null()) refuse(name, "not supported");
  }
}

std::vector<std::string> parse_stops(const Json& body) {
  const Json& value = member(body, "stop");
  if (value.is_null()) return {};
  std::vector<std::string> stops;
  const auto add = [&](const Json& stop, std::string param) {
    if (!stop.is_string()) throw bad_parameter("stop", "expected a text or a list of texts");
    stops.push_back(stop.get<std::string>());
    if (stops.back().empty()) throw bad_parameter(std::move(param), "is empty");
    if (utf8::count(stops.back()) > kMaxStopLength) {
      throw bad_parameter(std::move(param), "longer than {} characters", kMaxStopLength);
    }
  };
  if (!value.is_array()) {
    add(value, "stop");
    return stops;
  }
  if (std::ssize(value) > kMaxStops) {
    throw bad_parameter("stop", "{} texts, expected at most {}", value.size(), kMaxStops);
  }
  for (size_t i = 0; i < value.size(); ++i) add(value[i], fmt::format("stop[{}]", i));
  return stops;
}

GenerationParams parse_params(const Json& body) {
  refuse_unsupported(body);
  GenerationParams p;
  p.model = text_member(body, "model");
  p.n = integer_member(body, "n", 1, kMaxChoices).value_or(1);
  p.stream = bool_member(body, "stream").value_or(false);
  const Json& options = member(body, "stream_options");
  if (!options.is_null()) {
    if (!options.is_object()) throw bad_parameter("stream_options", "expected an object");
    p.include_usage = bool_member(options, "include_usage").value_or(false);
  }
  p.sampling.temperature = number_member(body, "temperature", 0, 2).value_or(1);
  p.sampling.top_p = number_member(body, "top_p", 0, 1).value_or(1);
  // OpenAI's range ends at 0, where the engine's does not: the likeliest token alone.
  if (p.sampling.top_p == 0) p.sampling.top_p = std::numeric_limits<double>::min();
  p.sampling.top_k = integer_member(body, "top_k", 0, kMaxTokens).value_or(0);
  p.sampling.min_p = number_member(body, "min_p", 0, 1).value_or(0);
  p.sampling.repetition_penalty = number_member(body, "repetition_penalty", 0.01, 100).value_or(1);
  if (const auto seed = integer_member(body, "seed")) p.seed = static_cast<uint64_t>(*seed);
  p.stop_strings = parse_stops(body);
  return p;
}

std::variant<std::string, std::vector<int32_t>> parse_ids(const Json& value,
                                                          const std::string& where) {
  std::vector<int32_t> ids;
  for (size_t i = 0; i < value.size(); ++i) {
    const std::optional<int64_t> id = integer_of(value[i]);
    if (!id || *id < 0 || *id > std::numeric_limits<int32_t>::max()) {
      throw bad_parameter(fmt::format("{}[{}]", where, i), "no token");
    }
    ids.push_back(static_cast<int32_t>(*id));
  }
  if (ids.empty()) throw bad_parameter(where, "is empty");
  return ids;
}

/// A text, a list of texts, a list of ids, or a list of lists of ids.
void parse_prompts(const Json& value, CompletionRequest& request) {
  if (value.is_null()) throw bad_parameter("prompt", "missing");
  if (value.is_string()) {
    request.prompts.emplace_back(value.get<std::string>());
    return;
  }
  if (!value.is_array() || value.empty()) {
    throw bad_parameter("prompt", "expected a text, texts, ids, or lists of ids");
  }
  if (value[0].is_number()) {
    request.prompts.push_back(parse_ids(value, "prompt"));
    return;
  }
  if (std::ssize(value) > kMaxChoices) {
    throw bad_parameter("prompt", "{} prompts, expected at most {}", value.size(), kMaxChoices);
  }
  for (size_t i = 0; i < value.size(); ++i) {
    const std::string where = fmt::format("prompt[{}]", i);
    if (value[i].is_string()) {
      request.prompts.emplace_back(value[i].get<std::string>());
    } else if (value[i].is_array()) {
      request.prompts.push_back(parse_ids(value[i], where));
    } else {
      throw bad_parameter(where, "expected a text or a list of ids");
    }
  }
}

}  // namespace

ChatRequest parse_chat_request(const Json& body, const GenerationDefaults& defaults) {
  ChatRequest request{.params = parse_params(body)};
  GenerationParams& p = request.params;
  if (member(body, "temperature").is_null()) p.sampling.temperature = defaults.temperature;
  if (member(body, "top_k").is_null()) p.sampling.top_k = defaults.top_k;
  const auto old_name = integer_member(body, "max_tokens", 1, kMaxTokens);
  const auto new_name = integer_member(body, "max_completion_tokens", 1, kMaxTokens);
  p.max_tokens = new_name ? new_name : old_name;
  const bool logprobs = bool_member(body, "logprobs").value_or(false);
  const auto top = integer_member(body, "top_logprobs", 0, kMaxTopLogprobs);
  if (top && !logprobs) throw bad_parameter("top_logprobs", "only with logprobs");
  if (logprobs) p.top_logprobs = top.value_or(0);
  request.messages = parse_messages(member(body, "messages"));
  return request;
}

CompletionRequest parse_completion_request(const Json& body) {
  CompletionRequest request{.params = parse_params(body)};
  GenerationParams& p = request.params;
  p.max_tokens = integer_member(body, "max_tokens", 0, kMaxTokens).value_or(16);
  p.top_logprobs = integer_member(body, "logprobs", 0, kMaxTopLogprobs);
  request.echo = bool_member(body, "echo").value_or(false);
  if (request.echo && p.top_logprobs) {
    refuse("echo", "with logprobs it is not supported: the prompt's are not computed");
  }
  if (!text_member(body, "suffix").value_or("").empty()) refuse("suffix", "not supported");
  const auto best_of = integer_member(body, "best_of", 1, kMaxChoices);
  if (best_of && *best_of != p.n) refuse("best_of", "only as many as n are drawn");
  parse_prompts(member(body, "prompt"), request);
  if (std::ssize(request.prompts) * p.n > kMaxChoices) {
    throw bad_parameter("n", "{} prompts times {} answers, expected at most {} together",
                        request.prompts.size(), p.n, kMaxChoices);
  }
  return request;
}

}  // namespace nanochat::serve
