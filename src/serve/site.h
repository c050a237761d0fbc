/// What is served under which path, to whom.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "serve/access_log.h"
#include "serve/exchange.h"
#include "serve/generation.h"
#include "serve/metrics.h"
#include "serve/page.h"
#include "serve/runs_api.h"
#include "serve/server.h"

namespace nanochat::serve {

struct SiteOptions {
  std::string api_key{};                    ///< empty: none is needed
  std::vector<std::string> cors_origins{};  ///< "https://chat.example.com"; "*": all
  /// The server is bound to this machine alone: then a Host header that is no name of it comes
  /// from a page that has made a name of its own mean 127.0.0.1 (DNS rebinding).
  bool is_local = true;
  std::string version{};
};

/// Routes; keys, origins and hosts; errors as responses; the log and the metrics.
class Site final : public Handler {
 public:
  /// service and runs null: there is none. All must outlive the site.
  Site(SiteOptions options, ModelService* service, RunsFolder* runs, Metrics& metrics,
       AccessLog& log);
  /// Whose connections the metrics tell; before the first request.
  void set_server(const Server& server) { server_ = &server; }

  [[nodiscard]] std::optional<HttpResponse> refusal(Exchange& exchange) override;
  void answer(const std::shared_ptr<Exchange>& exchange) override;
  void decorate(const Exchange& exchange, HttpResponse& response) override;
  void over(const Exchange& exchange, const ExchangeResult& result) override;
  void unreadable(std::string_view peer, int status) override;
  void hurry() override;

 private:
  using Answer = std::function<void(const std::shared_ptr<Exchange>&)>;
  enum class Access : uint8_t { kOpen, kKey };
  struct Route {
    std::string_view pattern;  // "/v1/models/{model}": the last part may hold anything
    std::string_view method;   // GET (and HEAD), or POST of JSON
    Access access;
    Answer answer;
  };

  void add_routes();
  [[nodiscard]] const Route* find(std::string_view path, std::string_view method,
                                  std::string& allowed) const;
  [[nodiscard]] bool is_welcome_host(const HttpRequest& request) const;
  [[nodiscard]] bool is_welcome_origin(const HttpRequest& request) const;
  [[nodiscard]] bool is_cors_origin(std::string_view origin) const;
  [[nodiscard]] bool has_key(const HttpRequest& request) const;
  [[nodiscard]] HttpResponse preflight(const HttpRequest& request, std::string_view allowed) const;
  [[nodiscard]] ModelService& need_model() const;
  void answer_metrics_of_run(const std::shared_ptr<Exchange>& exchange);
  [[nodiscard]] nlohmann::ordered_json info() const;

  SiteOptions options_;
  ModelService* service_;
  RunsFolder* runs_;
  Metrics& metrics_;
  AccessLog& log_;
  const Server* server_ = nullptr;
  Page page_;
  std::string openapi_;
  std::vector<Route> routes_;
};

/// Takes as long for every key of one length, right or wrong.
[[nodiscard]] bool equal_in_constant_time(std::string_view given, std::string_view key) noexcept;

/// The description of the APIs (OpenAPI 3.0), for this model; null: none.
[[nodiscard]] std::string openapi_json(const ModelService* service, std::string_view version);

}  // namespace nanochat::serve
