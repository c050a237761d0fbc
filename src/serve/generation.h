/// From a request over HTTP to requests of the engine, and back: what all APIs that generate share.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "serve/engine_worker.h"
#include "serve/exchange.h"
#include "serve/metrics.h"
#include "serve/openai_request.h"
#include "tokenizer/conversation.h"

namespace nanochat::serve {

/// The model that is served. What the constructor takes must outlive it.
struct ModelService {
  ModelService(std::string name_, int64_t created_, const Tokenizer& tokenizer_,
               EngineWorker& worker_, Metrics& metrics_, bool has_tool_,
               GenerationDefaults defaults_, bool log_messages_);

  /// Throws ApiError (404) unless the request names this model, or none.
  void check_model(const std::optional<std::string>& asked) const;
  /// Throws ApiError (400) where a text of so many bytes cannot fit, without encoding it.
  void check_length(int64_t bytes) const;
  /// Throws ApiError (400): no token, one that is none, too many for the context.
  void check_prompt(const std::vector<int32_t>& prompt) const;
  /// Throws ApiError (400) where the tokenizer has no chat template.
  [[nodiscard]] const ChatTokens& need_chat_tokens() const;

  const std::string name;
  const int64_t created;  ///< seconds since 1970
  const Tokenizer& tokenizer;
  EngineWorker& worker;
  Metrics& metrics;
  const bool has_tool;
  const GenerationDefaults defaults;
  const bool log_messages;
  std::optional<ChatTokens> chat_tokens;  ///< none: the tokenizer has no chat template
  int64_t longest_token_bytes = 1;
  std::unordered_set<class Generation*> generations{};  ///< that have not ended
};

/// The answers to one HTTP request. It lives until all have ended, or the client has gone: then its
/// requests are cancelled.
class Generation : public std::enable_shared_from_this<Generation> {
 public:
  Generation(ModelService& service, std::shared_ptr<Exchange> exchange);
  virtual ~Generation();
  Generation(const Generation&) = delete;
  Generation& operator=(const Generation&) = delete;

  /// Submits them all. Throws ApiError: 429 where the queue is full, 400 for a request that makes
  /// no sense; then nothing has been submitted.
  void start(std::vector<GenerationRequest> requests);
  /// Ends it with fail().
  void stop(int status, std::string_view message);

 protected:
  /// All are submitted.
  virtual void begin() {}
  /// An event of request i, in order.
  virtual void hear(size_t i, const GenerationEvent& event) = 0;
  /// All have ended well.
  virtual void complete() = 0;
  /// Nothing more comes.
  virtual void fail(int status, std::string_view message) = 0;

  struct Timing {
    std::optional<double> first_token_s{};      ///< since the request was there
    std::optional<double> tokens_per_second{};  ///< drawn ones behind the first, all answers
  };
  [[nodiscard]] Timing timing() const;
  [[nodiscard]] int64_t prompt_tokens() const noexcept { return prompt_tokens_; }
  [[nodiscard]] int64_t new_tokens() const noexcept { return new_tokens_; }
  [[nodiscard]] Exchange& exchange() noexcept { return *exchange_; }
  [[nodiscard]] ModelService& service() noexcept { return service_; }

 private:
  using Clock = std::chrono::steady_clock;
  void on_event(size_t i, const GenerationEvent& event);
  void cancel_all();
  void end(std::string_view how);

  ModelService& service_;
  std::shared_ptr<Exchange> exchange_;
  std::vector<EngineWorker::Key> keys_;
  std::vector<bool> ended_;
  int64_t prompt_tokens_ = 0, new_tokens_ = 0, sampled_ = 0, heard_ = 0;
  bool over_ = false;
  Clock::time_point start_ = Clock::now(), first_{}, last_{};
};

/// What a quiet stream is kept open with: a comment of server-sent events.
inline constexpr std::string_view kPing = ": ping\n\n";
/// Status and headers of a stream of events.
[[nodiscard]] HttpResponse event_stream_head();

/// For a request that names no seed: 63 bits, which every API's seed can hold.
[[nodiscard]] uint64_t random_seed();

/// Nanoseconds are noise: six digits.
[[nodiscard]] double rounded(double seconds) noexcept;

}  // namespace nanochat::serve
