#include "serve/generation.h"

#include <algorithm>
#include <cmath>
#include <random>
#include <utility>

#include "core/error.h"
#include "serve/api_error.h"

namespace nanochat::serve {
namespace {

std::optional<ChatTokens> chat_tokens_of(const Tokenizer& tokenizer) {
  try {
    return ChatTokens(tokenizer);
  } catch (const NotFoundError&) {
    return {};
  }
}

}  // namespace

ModelService::ModelService(std::string name_, int64_t created_, const Tokenizer& tokenizer_,
                           EngineWorker& worker_, Metrics& metrics_, bool has_tool_,
                           GenerationDefaults defaults_, bool log_messages_)
    : name(std::move(name_)),
      created(created_),
      tokenizer(tokenizer_),
      worker(worker_),
      metrics(metrics_),
      has_tool(has_tool_),
      defaults(defaults_),
      log_messages(log_messages_),
      chat_tokens(chat_tokens_of(tokenizer_)) {
  for (const std::string& token : tokenizer.vocabulary().tokens) {
    longest_token_bytes = std::max(longest_token_bytes, std::ssize(token));
  }
}

void ModelService::check_model(const std::optional<std::string>& asked) const {
  if (!asked || *asked == name) return;
  throw ApiError(404, fmt::format("there is no model '{}' here, only '{}'", *asked, name),
                 "model_not_found", "model");
}

void ModelService::check_length(int64_t bytes) const {
  const int64_t context = worker.memory().context;
  if (bytes / longest_token_bytes < context) return;
  throw ApiError(400,
                 fmt::format("the text is at least {} tokens, the context {}: shorten it",
                             bytes / longest_token_bytes, context),
                 "context_length_exceeded");
}

void ModelService::check_prompt(const std::vector<int32_t>& prompt) const {
  if (prompt.empty()) throw ApiError(400, "the prompt has no tokens", "invalid_value", "prompt");
  const int64_t context = worker.memory().context;
  if (std::ssize(prompt) >= context) {
    throw ApiError(400,
                   fmt::format("the prompt is {} tokens, which leaves no room in the context of "
                               "{}: shorten it",
                               prompt.size(), context),
                   "context_length_exceeded");
  }
  for (const int32_t id : prompt) {
    if (id < 0 || id >= tokenizer.vocab_size()) {
      throw ApiError(
          400, fmt::format("{} is no token of this model: it has {}", id, tokenizer.vocab_size()),
          "invalid_value", "prompt");
    }
  }
}

const ChatTokens& ModelService::need_chat_tokens() const {
  if (chat_tokens) return *chat_tokens;
  throw ApiError(400, "this model's tokenizer has no chat template: use /v1/completions",
                 "unsupported_model");
}

// ---- one request -------------------------------------------------------------------------------

Generation::Generation(ModelService& service, std::shared_ptr<Exchange> exchange)
    : service_(service), exchange_(std::move(exchange)) {}

Generation::~Generation() { service_.generations.erase(this); }

void Generation::start(std::vector<GenerationRequest> requests) {
  EngineWorker& worker = service_.worker;
  const auto n = std::ssize(requests);
  if (n > worker.max_in_flight()) {
    throw ApiError(400,
                   fmt::format("{} answers at a time, this server takes {} (--slots, --queue)", n,
                               worker.max_in_flight()),
                   "invalid_value", "n");
  }
  if (!worker.has_room(n)) {
    throw ApiError(
        429,
        fmt::format("{} requests are being answered or wait: try again later", worker.in_flight()),
        "queue_full");
  }
  for (const GenerationRequest& request : requests) service_.check_prompt(request.prompt);
  ended_.assign(requests.size(), false);
  try {
    for (size_t i = 0; i < requests.size(); ++i) {
      // Answers to one prompt share it.
      if (requests[i].sample == 0) prompt_tokens_ += std::ssize(requests[i].prompt);
      keys_.push_back(worker.submit(
          std::move(requests[i]),
          [self = shared_from_this(), i](const GenerationEvent& e) { self->on_event(i, e); }));
    }
  } catch (const UsageError& error) {
    cancel_all();
    throw ApiError(400, error.what(), "invalid_value");
  }
  service_.generations.insert(this);
  exchange_->notes["prompt_tokens"] = prompt_tokens_;
  exchange_->on_gone([weak = weak_from_this()] {
    const std::shared_ptr<Generation> self = weak.lock();
    if (!self || self->over_) return;
    self->cancel_all();
    self->end("cancelled");
  });
  begin();
}

void Generation::stop(int status, std::string_view message) {
  if (over_) return;
  const auto self = shared_from_this();
  cancel_all();
  end("failed");
  fail(status, message);
}

void Generation::cancel_all() {
  for (const EngineWorker::Key key : keys_) service_.worker.cancel(key);
}

void Generation::on_event(size_t i, const GenerationEvent& event) {
  if (over_ || ended_[i]) return;
  if (event.id >= 0) {
    ++new_tokens_;
    if (event.sampled) {
      last_ = Clock::now();
      if (sampled_++ == 0) {
        first_ = last_;
        service_.metrics.count_first_token(*timing().first_token_s);
      }
    }
  }
  if (event.finish == FinishReason::kFailed) {
    return stop(500, "the model's numbers are not finite");
  }
  if (event.finish == FinishReason::kCancelled) return stop(503, "the answer was cut off");
  hear(i, event);
  if (!event.finish || over_) return;
  ended_[i] = true;
  exchange_->notes["finish"] = name_of(*event.finish);
  if (++heard_ < std::ssize(ended_)) return;
  end("complete");
  complete();
}

void Generation::end(std::string_view how) {
  over_ = true;
  service_.generations.erase(this);
  const Timing times = timing();
  exchange_->notes["completion_tokens"] = new_tokens_;
  if (times.first_token_s) exchange_->notes["first_token_seconds"] = rounded(*times.first_token_s);
  if (how != "complete") exchange_->notes["finish"] = how;
  const std::chrono::duration<double> span = last_ - first_;
  service_.metrics.count_generation(how, std::max<int64_t>(0, sampled_ - std::ssize(keys_)),
                                    span.count());
}

Generation::Timing Generation::timing() const {
  Timing t;
  if (sampled_ == 0) return t;
  t.first_token_s = std::chrono::duration<double>(first_ - start_).count();
  const std::chrono::duration<double> span = last_ - first_;
  if (sampled_ > 1 && span.count() > 0) {
    t.tokens_per_second = static_cast<double>(sampled_ - 1) / span.count();
  }
  return t;
}

HttpResponse event_stream_head() {
  HttpResponse head;
  head.content_type = "text/event-stream; charset=utf-8";
  // Proxies are not to collect it (nginx), or to change it.
  head.headers = {{"Cache-Control", "no-cache, no-transform"}, {"X-Accel-Buffering", "no"}};
  return head;
}

uint64_t random_seed() {
  static std::mt19937_64 generator{std::random_device{}()};
  return generator() >> 1;
}

double rounded(double seconds) noexcept { return std::round(seconds * 1e6) / 1e6; }

}  // namespace nanochat::serve
