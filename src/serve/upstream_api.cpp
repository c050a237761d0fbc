#include "serve/upstream_api.h"

#include <charconv>
#include <cmath>
#include <utility>

#include "serve/api_error.h"
#include "serve/json_fields.h"
#include "serve/openai_format.h"
#include "tokenizer/utf8.h"

namespace nanochat::serve {
namespace {

using Json = nlohmann::ordered_json;
using Input = nlohmann::json;

constexpr int64_t kMaxMessages = 500;
constexpr int64_t kMaxMessageCharacters = 8000;
constexpr int64_t kMaxCharacters = 32000;
constexpr double kMaxTemperature = 2;
constexpr int64_t kMaxTopK = 200;
constexpr int64_t kMaxTokens = 4096;

/// One thing that is missing or of another type, as pydantic reports it.
Json problem(std::string_view type, Json where, std::string_view message, const Input& input) {
  where.insert(where.begin(), "body");
  return Json::array(
      {{{"type", type}, {"loc", std::move(where)}, {"msg", message}, {"input", Json(input)}}});
}
[[noreturn]] void mistyped(std::string_view type, Json where, std::string_view message,
                           const Input& input) {
  throw UpstreamRefusal(422, problem(type, std::move(where), message, input));
}
[[noreturn]] void refuse(const std::string& detail) { throw UpstreamRefusal(400, detail); }

std::string text_of(const Input& object, const char* name, const Json& where) {
  Json place = where;
  place.push_back(name);
  if (!object.contains(name)) mistyped("missing", place, "Field required", object);
  const Input& value = object.at(name);
  if (!value.is_string()) mistyped("string_type", place, "Input should be a valid string", value);
  return value.get<std::string>();
}

/// Numbers are taken from texts and from true and false too, as pydantic does.
std::optional<double> number_of(const Input& object, const char* name) {
  const Input& value = member(object, name);
  if (value.is_null()) return {};
  if (value.is_number()) return value.get<double>();
  if (value.is_boolean()) return value.get<bool>() ? 1 : 0;
  double x = 0;
  if (value.is_string()) {
    const auto& text = value.get_ref<const std::string&>();
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), x);
    if (error == std::errc() && end == text.data() + text.size()) return x;
    mistyped("float_parsing", {name},
             "Input should be a valid number, unable to parse string as a number", value);
  }
  mistyped("float_type", {name}, "Input should be a valid number", value);
}

std::optional<int64_t> integer_or_text(const Input& object, const char* name) {
  const Input& value = member(object, name);
  if (value.is_null()) return {};
  if (value.is_boolean()) return value.get<bool>() ? 1 : 0;
  if (value.is_number()) {
    if (const auto x = integer_of(value)) return x;
    if (value.is_number_float() && value.get<double>() != std::floor(value.get<double>())) {
      mistyped("int_from_float", {name},
               "Input should be a valid integer, got a number with a fractional part", value);
    }
    return std::numeric_limits<int64_t>::max();  // out of any range
  }
  int64_t x = 0;
  if (value.is_string()) {
    const auto& text = value.get_ref<const std::string&>();
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), x);
    if (error == std::errc() && end == text.data() + text.size()) return x;
    mistyped("int_parsing", {name},
             "Input should be a valid integer, unable to parse string as an integer", value);
  }
  mistyped("int_type", {name}, "Input should be a valid integer", value);
}

Input parse_json(std::string_view body) {
  const auto broken = [](std::string_view why) {
    Json detail = problem("json_invalid", Json::array(), "JSON decode error", Input::object());
    detail[0]["ctx"] = {{"error", why}};
    throw UpstreamRefusal(422, std::move(detail));
  };
  if (json_depth(body) > kMaxJsonDepth) broken("too deep");
  Input json = Input::parse(body, nullptr, /*allow_exceptions=*/false);
  if (json.is_discarded()) broken("not valid JSON");
  if (!json.is_object()) {
    mistyped("model_attributes_type", Json::array(),
             "Input should be a valid dictionary or object to extract fields from", json);
  }
  return json;
}

void check_limits(const UpstreamRequest& r, const std::vector<std::string>& roles) {
  if (r.messages.empty()) refuse("At least one message is required");
  if (std::ssize(r.messages) > kMaxMessages) {
    refuse("Too many messages. Maximum 500 messages allowed per request");
  }
  int64_t total = 0;
  for (size_t i = 0; i < r.messages.size(); ++i) {
    const auto& text = std::get<std::string>(r.messages[i].content);
    const auto characters = static_cast<int64_t>(utf8::count(text));
    if (characters == 0) refuse(fmt::format("Message {} has empty content", i));
    if (characters > kMaxMessageCharacters) {
      refuse(fmt::format("Message {} is too long. Maximum 8000 characters allowed per message", i));
    }
    total += characters;
  }
  if (total > kMaxCharacters) {
    refuse("Total conversation is too long. Maximum 32000 characters allowed");
  }
  for (size_t i = 0; i < roles.size(); ++i) {
    if (roles[i] == "user" || roles[i] == "assistant") continue;
    refuse(fmt::format("Message {} has invalid role. Must be 'user', 'assistant', or 'system'",
                       i));  // sic
  }
  if (!(r.temperature >= 0 && r.temperature <= kMaxTemperature)) {
    refuse("Temperature must be between 0.0 and 2.0");
  }
  if (r.top_k < 1 || r.top_k > kMaxTopK) refuse("top_k must be between 1 and 200");
  if (r.max_tokens < 1 || r.max_tokens > kMaxTokens) {
    refuse("max_tokens must be between 1 and 4096");
  }
}

/// Upstream's template takes messages in any order: each in its own tokens.
std::vector<int32_t> prompt_of_any(const Tokenizer& tokenizer, const ChatTokens& tokens,
                                   const std::vector<Message>& messages) {
  std::vector<int32_t> ids{tokens.bos};
  for (const Message& message : messages) {
    const bool is_user = message.role == Role::kUser;
    ids.push_back(is_user ? tokens.user_start : tokens.assistant_start);
    tokenizer.encode_to(std::get<std::string>(message.content), ids);
    ids.push_back(is_user ? tokens.user_end : tokens.assistant_end);
  }
  ids.push_back(tokens.assistant_start);
  return ids;
}

HttpResponse detail_response(int status, Json detail) {
  return json_response({{"detail", std::move(detail)}}, status);
}

class UpstreamGeneration final : public Generation {
 public:
  using Generation::Generation;

 private:
  void begin() override { exchange().begin(event_stream_head(), kPing); }

  void hear(size_t, const GenerationEvent& event) override {
    std::string text = event.text;
    // Special tokens are text like any other here, so that a tool's calls can be told apart.
    const Tokenizer& tokenizer = service().tokenizer;
    if (event.id >= 0 && tokenizer.is_special(event.id)) text += tokenizer.token_bytes(event.id);
    if (service().log_messages) answer_ += text;
    if (!text.empty()) {
      exchange().write(fmt::format("data: {{\"token\": {}, \"gpu\": 0}}\n\n", json_text(text)));
    }
  }
  void complete() override {
    if (service().log_messages) exchange().notes["answers"] = Json::array({answer_});
    exchange().write("data: {\"done\": true}\n\n");
    exchange().end();
  }
  void fail(int, std::string_view message) override {
    exchange().write(fmt::format("data: {{\"error\": {}}}\n\n", json_text(message)));
    exchange().end();
  }

  std::string answer_;
};

void start_upstream_chat(ModelService& service, const std::shared_ptr<Exchange>& exchange) {
  const UpstreamRequest r = parse_upstream_request(exchange->request().body, service.defaults);
  const ChatTokens& tokens = service.need_chat_tokens();
  if (service.log_messages) {
    exchange->notes["messages"] = Input::parse(exchange->request().body).at("messages");
  }
  GenerationRequest request{.prompt = prompt_of_any(service.tokenizer, tokens, r.messages),
                            .max_tokens = r.max_tokens,
                            .sampling = {.temperature = r.temperature, .top_k = r.top_k},
                            .seed = random_seed(),
                            .stop_ids = {tokens.assistant_end, tokens.bos},
                            .use_tool = service.has_tool};
  std::vector<GenerationRequest> requests;
  requests.push_back(std::move(request));
  std::make_shared<UpstreamGeneration>(service, exchange)->start(std::move(requests));
}

}  // namespace

UpstreamRequest parse_upstream_request(std::string_view body, const GenerationDefaults& defaults) {
  const Input json = parse_json(body);
  if (!json.contains("messages")) mistyped("missing", {"messages"}, "Field required", json);
  const Input& messages = json.at("messages");
  if (!messages.is_array()) {
    mistyped("list_type", {"messages"}, "Input should be a valid list", messages);
  }
  UpstreamRequest r;
  std::vector<std::string> roles;
  for (size_t i = 0; i < messages.size(); ++i) {
    const Json where{"messages", i};
    if (!messages[i].is_object()) {
      mistyped("model_attributes_type", where,
               "Input should be a valid dictionary or object to extract fields from", messages[i]);
    }
    roles.push_back(text_of(messages[i], "role", where));
    r.messages.push_back({roles.back() == "assistant" ? Role::kAssistant : Role::kUser,
                          text_of(messages[i], "content", where)});
  }
  r.temperature = number_of(json, "temperature").value_or(defaults.temperature);
  r.max_tokens = integer_or_text(json, "max_tokens").value_or(defaults.max_tokens);
  // Upstream's default is within its range; ours may be 0 for all.
  const int64_t default_top_k = defaults.top_k == 0 ? kMaxTopK : defaults.top_k;
  r.top_k = integer_or_text(json, "top_k").value_or(std::min(default_top_k, kMaxTopK));
  check_limits(r, roles);
  return r;
}

void answer_upstream_chat(ModelService* service, const std::shared_ptr<Exchange>& exchange) {
  if (service == nullptr) {
    return exchange->respond(detail_response(503, "No model is served: training view only"));
  }
  try {
    start_upstream_chat(*service, exchange);
  } catch (const UpstreamRefusal& refusal) {
    exchange->respond(detail_response(refusal.status(), refusal.detail()));
  } catch (const ApiError& error) {
    HttpResponse response = detail_response(error.status(), error.what());
    if (error.status() == 429) {
      response.headers.emplace_back("Retry-After", std::to_string(service->worker.retry_after()));
    }
    exchange->respond(std::move(response));
  }
}

Json health_json(const ModelService* service) {
  if (service == nullptr) {
    return {{"status", "ok"}, {"ready", false}, {"num_gpus", 0}, {"available_workers", 0}};
  }
  return {{"status", "ok"},
          {"ready", true},
          {"num_gpus", service->worker.memory().slots},
          {"available_workers", service->worker.stats().free_slots}};
}

Json stats_json(const ModelService* service) {
  Json workers = Json::array();
  if (service == nullptr) {
    return {
        {"total_workers", 0}, {"available_workers", 0}, {"busy_workers", 0}, {"workers", workers}};
  }
  const int64_t slots = service->worker.memory().slots;
  const EngineStats stats = service->worker.stats();
  for (int64_t i = 0; i < slots; ++i) workers.push_back({{"gpu_id", i}, {"device", "cpu"}});
  return {{"total_workers", slots},
          {"available_workers", stats.free_slots},
          {"busy_workers", slots - stats.free_slots},
          {"workers", std::move(workers)}};
}

}  // namespace nanochat::serve
