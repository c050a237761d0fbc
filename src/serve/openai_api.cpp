#include "serve/openai_api.h"

#include <chrono>
#include <utility>

#include "engine/chat_memory.h"
#include "serve/api_error.h"
#include "serve/json_fields.h"
#include "serve/messages.h"
#include "serve/openai_format.h"

namespace nanochat::serve {
namespace {

using Json = nlohmann::ordered_json;

int64_t now_seconds() {
  return std::chrono::duration_cast<std::chrono::seconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

/// Without prompt and number.
GenerationRequest engine_request(const GenerationParams& p) {
  return {.sampling = p.sampling,
          .seed = p.seed ? *p.seed : random_seed(),
          .stop_strings = p.stop_strings,
          .top_logprobs = p.top_logprobs};
}

Json timings_json(std::optional<double> first, std::optional<double> rate) {
  const auto or_null = [](std::optional<double> x) {
    return x ? Json(rounded(*x)) : Json(nullptr);
  };
  return {{"tokens_per_second", or_null(rate)}, {"time_to_first_token", or_null(first)}};
}

/// What chat and completion have in common: many answers, as a stream or as a whole.
class OpenAiGeneration : public Generation {
 public:
  OpenAiGeneration(ModelService& service, const std::shared_ptr<Exchange>& exchange,
                   const GenerationParams& params, std::string_view id_prefix,
                   std::string_view object)
      : Generation(service, exchange),
        stream_(params.stream),
        include_usage_(params.include_usage),
        object_(object),
        id_(fmt::format("{}-{:x}{:08x}", id_prefix, now_seconds(), exchange->id)),
        created_(now_seconds()),
        writer_(stream_ ? std::string(object) + std::string(chunk_suffix(object)) : object_, id_,
                created_, service.name, include_usage_) {}

 protected:
  /// The whole of one answer: an element of "choices".
  [[nodiscard]] virtual Json choice(size_t i) = 0;
  virtual void begin_stream() {}

  void begin() final {
    if (!stream_) return;
    exchange().begin(event_stream_head(), kPing);
    begin_stream();
  }

  void complete() final {
    if (!stream_) {
      Json choices = Json::array();
      for (size_t i = 0; i < n_choices(); ++i) choices.push_back(choice(i));
      exchange().respond(json_response({{"id", id_},
                                        {"object", object_},
                                        {"created", created_},
                                        {"model", service().name},
                                        {"choices", std::move(choices)},
                                        {"usage", usage_json(prompt_tokens(), new_tokens())},
                                        {"timings", timings()}}));
      return;
    }
    if (include_usage_) {
      exchange().write(writer_.usage_chunk(usage_json(prompt_tokens(), new_tokens()), timings()));
    }
    exchange().write("data: [DONE]\n\n");
    exchange().end();
  }

  void fail(int status, std::string_view message) final {
    if (!stream_) return exchange().respond(error_response(status, message, "generation_failed"));
    exchange().write(sse_event(to_text(error_json(status, message, "generation_failed"))));
    exchange().end();
  }

  [[nodiscard]] virtual size_t n_choices() const = 0;
  [[nodiscard]] bool streams() const noexcept { return stream_; }
  [[nodiscard]] const ChunkWriter& writer() const noexcept { return writer_; }

 private:
  static std::string_view chunk_suffix(std::string_view object) {
    return object == "chat.completion" ? ".chunk" : "";
  }
  [[nodiscard]] Json timings() const {
    const Timing t = timing();
    return timings_json(t.first_token_s, t.tokens_per_second);
  }

  bool stream_, include_usage_;
  std::string object_, id_;
  int64_t created_;
  ChunkWriter writer_;
};

// ---- chat --------------------------------------------------------------------------------------

class ChatGeneration final : public OpenAiGeneration {
 public:
  ChatGeneration(ModelService& service, const std::shared_ptr<Exchange>& exchange,
                 const GenerationParams& params)
      : OpenAiGeneration(service, exchange, params, "chatcmpl", "chat.completion"),
        with_logprobs_(params.top_logprobs.has_value()),
        answers_(static_cast<size_t>(params.n), Answer(*service.chat_tokens)) {}

 private:
  struct Answer {
    explicit Answer(const ChatTokens& tokens) : tracker(tokens) {}
    PartTracker tracker;
    std::vector<MessagePart> parts{};
    Json logprobs = Json::array();
    std::string_view finish{};
  };

  void begin_stream() override {
    for (size_t i = 0; i < answers_.size(); ++i) {
      exchange().write(
          writer().chunk(i, R"("delta":{"role":"assistant","content":""})", nullptr, ""));
    }
  }

  void hear(size_t i, const GenerationEvent& event) override {
    Answer& answer = answers_[i];
    Json logprobs = nullptr;
    if (with_logprobs_ && event.id >= 0 && event.sampled) {
      Json entry = chat_logprob(service().tokenizer, event);
      if (streams()) {
        logprobs = {{"content", Json::array({std::move(entry)})}, {"refusal", nullptr}};
      } else {
        answer.logprobs.push_back(std::move(entry));
      }
    }
    const PartType type = answer.tracker.type();
    if (event.id >= 0) answer.tracker.push(event.id);
    if (event.finish) answer.finish = finish_name(*event.finish);
    const bool is_kept = !streams() || service().log_messages;
    if (is_kept && !event.text.empty()) {
      if (answer.parts.empty() || answer.parts.back().type != type) {
        answer.parts.push_back({type, {}});
      }
      answer.parts.back().text += event.text;
    }
    if (event.finish && service().log_messages) note_answer(answer);
    if (!streams()) return;
    if (!event.text.empty() || !logprobs.is_null()) {
      exchange().write(writer().chunk(i, delta(type, event.text), logprobs, ""));
    }
    if (event.finish) {
      exchange().write(writer().chunk(i, "\"delta\":{}", nullptr, answer.finish));
    }
  }

  static std::string delta(PartType type, std::string_view text) {
    if (type == PartType::kText)
      return fmt::format("\"delta\":{{\"content\":{}}}", json_text(text));
    return fmt::format("\"delta\":{{\"tool\":{{\"type\":\"{}\",\"text\":{}}}}}", name(type),
                       json_text(text));
  }
  static std::string_view name(PartType type) {
    return type == PartType::kText     ? "text"
           : type == PartType::kPython ? "python"
                                       : "python_output";
  }

  static std::string text_of(const Answer& answer) {
    std::string text;
    for (const MessagePart& part : answer.parts) {
      if (part.type == PartType::kText) text += part.text;
    }
    return text;
  }

  void note_answer(const Answer& answer) { exchange().notes["answers"].push_back(text_of(answer)); }

  Json choice(size_t i) override {
    const Answer& answer = answers_[i];
    Json message{{"role", "assistant"}, {"content", text_of(answer)}, {"refusal", nullptr}};
    Json parts = Json::array();
    bool has_call = false;
    for (const MessagePart& part : answer.parts) {
      parts.push_back({{"type", name(part.type)}, {"text", part.text}});
      has_call = has_call || part.type != PartType::kText;
    }
    if (has_call) message["parts"] = std::move(parts);
    Json logprobs = nullptr;
    if (with_logprobs_) logprobs = {{"content", answer.logprobs}, {"refusal", nullptr}};
    return {{"index", i},
            {"message", std::move(message)},
            {"logprobs", std::move(logprobs)},
            {"finish_reason", answer.finish}};
  }

  size_t n_choices() const override { return answers_.size(); }

  bool with_logprobs_;
  std::vector<Answer> answers_;
};

// ---- completions -------------------------------------------------------------------------------

class CompletionGeneration final : public OpenAiGeneration {
 public:
  CompletionGeneration(ModelService& service, const std::shared_ptr<Exchange>& exchange,
                       const GenerationParams& params, std::vector<std::string> echoes)
      : OpenAiGeneration(service, exchange, params, "cmpl", "text_completion"),
        with_logprobs_(params.top_logprobs.has_value()) {
    for (std::string& echo : echoes) answers_.push_back({.text = std::move(echo)});
  }

 private:
  struct Answer {
    std::string text{};  // what is to be sent, or all of it
    CompletionLogprobs logprobs{};
    std::string_view finish{};
  };

  void begin_stream() override {
    for (size_t i = 0; i < answers_.size(); ++i) {
      if (!answers_[i].text.empty()) send(i, answers_[i].text, nullptr, "");
    }
  }

  void hear(size_t i, const GenerationEvent& event) override {
    Answer& answer = answers_[i];
    if (with_logprobs_ && event.id >= 0) answer.logprobs.add(service().tokenizer, event);
    if (event.finish) answer.finish = finish_name(*event.finish);
    const bool is_kept = !streams() || service().log_messages;
    if (is_kept) answer.text += event.text;
    if (event.finish && service().log_messages) exchange().notes["answers"].push_back(answer.text);
    if (!streams()) return;
    Json logprobs = nullptr;
    if (!answer.logprobs.empty()) logprobs = answer.logprobs.take();
    if (!event.text.empty() || !logprobs.is_null()) send(i, event.text, logprobs, "");
    if (event.finish) send(i, "", nullptr, answer.finish);
  }

  void send(size_t i, std::string_view text, const Json& logprobs, std::string_view finish) {
    exchange().write(
        writer().chunk(i, fmt::format("\"text\":{}", json_text(text)), logprobs, finish));
  }

  Json choice(size_t i) override {
    Answer& answer = answers_[i];
    return {{"index", i},
            {"text", answer.text},
            {"logprobs", with_logprobs_ ? answer.logprobs.take() : Json(nullptr)},
            {"finish_reason", answer.finish}};
  }

  size_t n_choices() const override { return answers_.size(); }

  bool with_logprobs_;
  std::vector<Answer> answers_;
};

}  // namespace

void answer_chat(ModelService& service, const std::shared_ptr<Exchange>& exchange) {
  const nlohmann::json body = parse_body(exchange->request().body);
  ChatRequest request = parse_chat_request(body, service.defaults);
  const GenerationParams& p = request.params;
  service.check_model(p.model);
  const ChatTokens& tokens = service.need_chat_tokens();
  service.check_length(text_bytes(request.messages));
  if (service.log_messages) exchange->notes["messages"] = body.at("messages");

  GenerationRequest base = engine_request(p);
  base.prompt = prompt_of(service.tokenizer, std::move(request.messages));
  service.check_prompt(base.prompt);
  const int64_t room = service.worker.memory().context - std::ssize(base.prompt);
  base.max_tokens = std::min(p.max_tokens.value_or(room), room);
  base.stop_ids = {tokens.assistant_end, tokens.bos};
  base.use_tool = service.has_tool;
  std::vector<GenerationRequest> requests;
  for (int64_t i = 0; i < p.n; ++i) {
    requests.push_back(base);
    requests.back().sample = static_cast<uint32_t>(i);
  }
  std::make_shared<ChatGeneration>(service, exchange, p)->start(std::move(requests));
}

void answer_completion(ModelService& service, const std::shared_ptr<Exchange>& exchange) {
  const nlohmann::json body = parse_body(exchange->request().body);
  CompletionRequest request = parse_completion_request(body);
  const GenerationParams& p = request.params;
  service.check_model(p.model);
  if (service.log_messages) exchange->notes["prompt"] = body.at("prompt");

  GenerationRequest base = engine_request(p);
  const int32_t bos = service.tokenizer.bos_id();
  base.stop_ids = {bos};
  std::vector<GenerationRequest> requests;
  std::vector<std::string> echoes;
  for (const auto& prompt : request.prompts) {
    GenerationRequest one = base;
    if (const auto* const text = std::get_if<std::string>(&prompt)) {
      service.check_length(std::ssize(*text));
      one.prompt = {bos};
      service.tokenizer.encode_to(*text, one.prompt);
    } else {
      one.prompt = std::get<std::vector<int32_t>>(prompt);
    }
    service.check_prompt(one.prompt);
    const int64_t room = service.worker.memory().context - std::ssize(one.prompt);
    one.max_tokens = std::min(*p.max_tokens, room);
    std::string echo;
    if (request.echo) {
      const auto* const text = std::get_if<std::string>(&prompt);
      echo = text != nullptr ? *text : service.tokenizer.decode(one.prompt);
    }
    for (int64_t i = 0; i < p.n; ++i) {
      requests.push_back(one);
      requests.back().sample = static_cast<uint32_t>(i);
      echoes.push_back(echo);
    }
  }
  std::make_shared<CompletionGeneration>(service, exchange, p, std::move(echoes))
      ->start(std::move(requests));
}

Json model_json(const ModelService* service, std::string_view name) {
  if (service == nullptr || name != service->name) {
    throw ApiError(404, fmt::format("there is no model '{}' here", name), "model_not_found",
                   "model");
  }
  return {{"id", service->name},
          {"object", "model"},
          {"created", service->created},
          {"owned_by", "nanochat"}};
}

Json models_json(const ModelService* service) {
  Json data = Json::array();
  if (service != nullptr) data.push_back(model_json(service, service->name));
  return {{"object", "list"}, {"data", std::move(data)}};
}

}  // namespace nanochat::serve
