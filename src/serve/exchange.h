/// One request and its answer, as those see it who answer.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <nlohmann/json.hpp>

#include "serve/http.h"

namespace nanochat::serve {

/// All of it on the server's thread. It may outlive its connection: then nothing happens any more.
class Exchange {
 public:
  explicit Exchange(HttpRequest request) : request_(std::move(request)) {}
  virtual ~Exchange() = default;
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;

  [[nodiscard]] const HttpRequest& request() const noexcept { return request_; }

  /// The whole answer, once.
  virtual void respond(HttpResponse response) = 0;
  /// An answer that comes in pieces: its status and headers, without a body. `ping` is sent
  /// whenever nothing else has been for a while.
  virtual void begin(HttpResponse head, std::string_view ping) = 0;
  virtual void write(std::string_view bytes) = 0;
  virtual void end() = 0;

  /// Called once when the client goes away, or is sent away, before the answer is complete.
  void on_gone(std::function<void()> listener) { on_gone_ = std::move(listener); }
  [[nodiscard]] bool gone() const noexcept { return gone_; }

  /// What the access log says of it beside the usual: tokens, how it ended.
  nlohmann::ordered_json notes = nlohmann::ordered_json::object();
  /// The number of the request, for the log and X-Request-Id.
  uint64_t id = 0;
  /// What metrics count it under: "/v1/models/{model}". Must outlive the exchange.
  std::string_view route = "other";

 protected:
  void tell_gone() {
    gone_ = true;
    if (auto listener = std::exchange(on_gone_, nullptr)) listener();
  }
  HttpRequest request_;

 private:
  std::function<void()> on_gone_;
  bool gone_ = false;
};

/// What became of a request, when it is over.
struct ExchangeResult {
  int status = 0;          ///< 0: nothing was answered
  int64_t sent_bytes = 0;  ///< with the head
  double seconds = 0;      ///< since its head was there
  bool complete = false;   ///< false: the connection was lost, or closed, before the end
};

/// Who answers. All calls come on the server's thread.
class Handler {
 public:
  virtual ~Handler() = default;
  /// When the head of a request is there: a refusal, or nothing, and then the body is read. The
  /// body of a refused request is not.
  [[nodiscard]] virtual std::optional<HttpResponse> refusal(Exchange& exchange) = 0;
  /// When all of it is there. What it throws is answered with 500.
  virtual void answer(const std::shared_ptr<Exchange>& exchange) = 0;
  /// Headers for every response.
  virtual void decorate(const Exchange& exchange, HttpResponse& response) = 0;
  /// Once for each exchange, when it is over.
  virtual void over(const Exchange& exchange, const ExchangeResult& result) = 0;
  /// A request that could not be read was answered with this status.
  virtual void unreadable(std::string_view peer, int status) = 0;
  /// The server will not wait any longer: what still runs is to come to its end now.
  virtual void hurry() = 0;
};

}  // namespace nanochat::serve
