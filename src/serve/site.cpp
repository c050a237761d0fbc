#include "serve/site.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "serve/api_error.h"
#include "serve/model_api.h"
#include "serve/openai_api.h"
#include "serve/upstream_api.h"

// src/serve/openapi.json, put into the program by CMake.
extern "C" {
extern const char nanochat_openapi[], nanochat_openapi_end[];
}

namespace nanochat::serve {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kRunsPrefix = "/api/runs/";
constexpr std::string_view kRunsSuffix = "/metrics";

/// A part in braces stands for any text; without a slash in it, unless it ends the pattern.
bool matches(std::string_view pattern, std::string_view path) {
  while (!pattern.empty()) {
    const size_t open = pattern.find('{');
    if (open == std::string_view::npos) return pattern == path;
    if (!path.starts_with(pattern.substr(0, open))) return false;
    path.remove_prefix(open);
    pattern.remove_prefix(pattern.find('}') + 1);
    if (pattern.empty()) return !path.empty();
    const size_t end = std::min(path.find('/'), path.size());
    if (end == 0) return false;
    path.remove_prefix(end);
  }
  return path.empty();
}

std::string_view method_of_route(std::string_view method) {
  return method == "HEAD" ? std::string_view("GET") : method;
}

}  // namespace

bool equal_in_constant_time(std::string_view given, std::string_view key) noexcept {
  // volatile: no compiler is to stop at the first difference.
  volatile unsigned char different = given.size() == key.size() ? 0 : 1;
  for (size_t i = 0; i < given.size(); ++i) {
    const char expected = key.empty() ? '\0' : key[i % key.size()];
    different = static_cast<unsigned char>(different | (given[i] ^ expected));
  }
  return different == 0;
}

Site::Site(SiteOptions options, ModelService* service, RunsFolder* runs, Metrics& metrics,
           AccessLog& log)
    : options_(std::move(options)),
      service_(service),
      runs_(runs),
      metrics_(metrics),
      log_(log),
      openapi_(openapi_json(service, options_.version)) {
  add_routes();
}

void Site::add_routes() {
  using E = std::shared_ptr<Exchange>;
  const auto get = [this](std::string_view path, Access access, auto json) {
    routes_.push_back({path, "GET", access, [json](const E& exchange) {
                         exchange->respond(json_response(json(exchange)));
                       }});
  };
  const auto post = [this](std::string_view path, Answer answer) {
    routes_.push_back({path, "POST", Access::kKey, std::move(answer)});
  };
  get("/v1/models", Access::kKey, [this](const E&) { return models_json(service_); });
  get("/v1/models/{model}", Access::kKey, [this](const E& e) {
    return model_json(service_, std::string_view(e->request().path).substr(11));
  });
  post("/v1/chat/completions", [this](const E& e) { answer_chat(need_model(), e); });
  post("/v1/completions", [this](const E& e) { answer_completion(need_model(), e); });
  post("/chat/completions", [this](const E& e) { answer_upstream_chat(service_, e); });
  get("/health", Access::kOpen, [this](const E&) { return health_json(service_); });
  get("/stats", Access::kKey, [this](const E&) { return stats_json(service_); });
  get("/api/info", Access::kOpen, [this](const E&) { return info(); });
  get("/api/runs", Access::kKey,
      [this](const E&) { return runs_ != nullptr ? runs_->list() : Json::array(); });
  routes_.push_back({"/api/runs/{stage}/{tag}/metrics", "GET", Access::kKey,
                     [this](const E& e) { answer_metrics_of_run(e); }});
  post("/api/tokenize", [this](const E& e) { answer_tokenize(need_model(), e); });
  post("/api/next", [this](const E& e) { answer_next(need_model(), e); });
  routes_.push_back({"/metrics", "GET", Access::kKey, [this](const E& e) {
                       std::optional<EngineStats> engine;
                       if (service_ != nullptr) engine = service_->worker.stats();
                       e->respond(
                           {.content_type = "text/plain; version=0.0.4; charset=utf-8",
                            .body = metrics_.text(server_->stats(), engine ? &*engine : nullptr,
                                                  options_.version)});
                     }});
  routes_.push_back({"/openapi.json", "GET", Access::kOpen, [this](const E& e) {
                       e->respond({.content_type = "application/json", .body = openapi_});
                     }});
}

// ---- who may -----------------------------------------------------------------------------------

const Site::Route* Site::find(std::string_view path, std::string_view method,
                              std::string& allowed) const {
  const Route* found = nullptr;
  for (const Route& route : routes_) {
    if (!matches(route.pattern, path)) continue;
    if (!allowed.empty()) allowed += ", ";
    allowed += route.method == "GET" ? "GET, HEAD" : route.method;
    if (route.method == method_of_route(method)) found = &route;
  }
  if (!allowed.empty()) allowed += ", OPTIONS";
  return found;
}

bool Site::is_cors_origin(std::string_view origin) const {
  return !origin.empty() && std::ranges::any_of(options_.cors_origins, [&](const auto& allowed) {
    return allowed == "*" || equal_ignoring_case(allowed, origin);
  });
}

bool Site::is_welcome_host(const HttpRequest& request) const {
  if (!options_.is_local || !options_.api_key.empty()) return true;
  if (request.authority.empty()) return true;  // HTTP/1.0: no browser
  const std::string_view host = host_of_authority(request.authority);
  if (is_loopback_host(host)) return true;
  return std::ranges::any_of(options_.cors_origins, [&](std::string_view origin) {
    const size_t scheme = origin.find("://");
    return scheme != std::string_view::npos &&
           equal_ignoring_case(host_of_authority(origin.substr(scheme + 3)), host);
  });
}

/// A browser says which page asks. That it lets no other page read the answer is not enough: to ask
/// costs already.
bool Site::is_welcome_origin(const HttpRequest& request) const {
  const std::string_view origin = request.header("Origin");
  if (origin.empty() || is_cors_origin(origin)) return true;
  const size_t scheme = origin.find("://");
  if (scheme == std::string_view::npos) return false;
  return equal_ignoring_case(origin.substr(scheme + 3), request.authority);
}

bool Site::has_key(const HttpRequest& request) const {
  if (options_.api_key.empty()) return true;
  constexpr std::string_view kScheme = "Bearer ";
  std::string_view given = request.header("Authorization");
  if (given.size() < kScheme.size() ||
      !equal_ignoring_case(given.substr(0, kScheme.size()), kScheme)) {
    return false;
  }
  given.remove_prefix(kScheme.size());
  return equal_in_constant_time(given, options_.api_key);
}

HttpResponse Site::preflight(const HttpRequest& request, std::string_view allowed) const {
  HttpResponse response{.status = 204};
  response.headers = {{"Allow", std::string(allowed)}};
  if (!is_cors_origin(request.header("Origin"))) return response;
  response.headers.emplace_back("Access-Control-Allow-Methods", std::string(allowed));
  // Clients send headers of their own (x-stainless-...): what is asked for is what is allowed.
  const std::string asked(request.header("Access-Control-Request-Headers"));
  response.headers.emplace_back("Access-Control-Allow-Headers",
                                asked.empty() ? "Authorization, Content-Type" : asked);
  response.headers.emplace_back("Access-Control-Max-Age", "600");
  return response;
}

std::optional<HttpResponse> Site::refusal(Exchange& exchange) {
  const HttpRequest& request = exchange.request();
  std::string allowed;
  const Route* const route = find(request.path, request.method, allowed);
  if (allowed.empty() && page_.has(request.path)) {
    exchange.route = "page";
    if (method_of_route(request.method) == "GET") return {};
    allowed = "GET, HEAD, OPTIONS";
  }
  if (request.path == "*" && request.method == "OPTIONS") allowed = "GET, HEAD, POST, OPTIONS";
  if (allowed.empty()) return error_response(404, "there is nothing here", "not_found");
  if (request.method == "OPTIONS") return preflight(request, allowed);
  if (route == nullptr) {
    HttpResponse response =
        error_response(405, fmt::format("{} is not for this path: {}", request.method, allowed),
                       "method_not_allowed");
    response.headers.emplace_back("Allow", allowed);
    return response;
  }
  exchange.route = route->pattern;
  if (!is_welcome_host(request)) {
    return error_response(403,
                          fmt::format("this server is not '{}': it is bound to this machine; "
                                      "--cors-origin names others under which it is reached",
                                      host_of_authority(request.authority)),
                          "wrong_host");
  }
  if (!is_welcome_origin(request)) {
    return error_response(
        403,
        fmt::format("pages of '{}' may not ask here (--cors-origin)", request.header("Origin")),
        "wrong_origin");
  }
  if (route->access == Access::kKey && !has_key(request)) {
    HttpResponse response = error_response(401,
                                           request.header("Authorization").empty()
                                               ? "an API key is needed: Authorization: Bearer KEY"
                                               : "wrong API key",
                                           "invalid_api_key");
    response.headers.emplace_back("WWW-Authenticate", "Bearer");
    return response;
  }
  if (route->method == "POST" && media_type(request.header("Content-Type")) != "application/json") {
    return error_response(415, "the body must be JSON (Content-Type: application/json)",
                          "unsupported_media_type");
  }
  return {};
}

// ---- answers -----------------------------------------------------------------------------------

void Site::answer(const std::shared_ptr<Exchange>& exchange) {
  const HttpRequest& request = exchange->request();
  std::string allowed;
  const Route* const route = find(request.path, request.method, allowed);
  if (route == nullptr) return exchange->respond(page_.response(request));
  try {
    route->answer(exchange);
  } catch (const ApiError& error) {
    HttpResponse response = error_response(error);
    if (error.status() == 429) {
      response.headers.emplace_back("Retry-After",
                                    std::to_string(need_model().worker.retry_after()));
    }
    exchange->respond(std::move(response));
  }
}

ModelService& Site::need_model() const {
  if (service_ != nullptr) return *service_;
  throw ApiError(404, "no model is served: there was none when the server was started",
                 "model_not_found");
}

void Site::answer_metrics_of_run(const std::shared_ptr<Exchange>& exchange) {
  std::string_view path = exchange->request().path;
  path.remove_prefix(kRunsPrefix.size());
  path.remove_suffix(kRunsSuffix.size());
  const std::string_view stage = path.substr(0, path.find('/'));
  const std::string_view tag = path.substr(stage.size() + 1);
  const std::string from =
      percent_decoded(query_value(exchange->request().query, "from").value_or("0")).value_or("");
  int64_t offset = 0;
  const auto [end, error] = std::from_chars(from.data(), from.data() + from.size(), offset);
  if (error != std::errc() || end != from.data() + from.size() || offset < 0) {
    throw bad_parameter("from", "expected a number of bytes");
  }
  if (runs_ == nullptr) throw ApiError(404, "no folder of runs is watched", "run_not_found");
  exchange->respond(
      {.content_type = "application/json", .body = runs_->metrics(stage, tag, offset)});
}

Json Site::info() const {
  Json model = nullptr, context = nullptr;
  if (service_ != nullptr) {
    model = service_->name;
    context = service_->worker.memory().context;
  }
  return {{"model", model},
          {"context", context},
          {"version", options_.version},
          {"needs_key", !options_.api_key.empty()},
          {"has_model", service_ != nullptr},
          {"has_runs", runs_ != nullptr}};
}

void Site::decorate(const Exchange& exchange, HttpResponse& response) {
  auto& headers = response.headers;
  headers.emplace_back("X-Content-Type-Options", "nosniff");
  headers.emplace_back("Referrer-Policy", "no-referrer");
  headers.emplace_back("X-Request-Id", std::to_string(exchange.id));
  if (find_header(headers, "Cache-Control").empty()) {
    headers.emplace_back("Cache-Control", "no-store");
  }
  const std::string_view origin = exchange.request().header("Origin");
  if (is_cors_origin(origin)) {
    headers.emplace_back("Access-Control-Allow-Origin", std::string(origin));
    headers.emplace_back("Access-Control-Expose-Headers", "Retry-After, X-Request-Id");
  } else {
    headers.emplace_back("Cross-Origin-Resource-Policy", "same-origin");
  }
  if (!options_.cors_origins.empty()) headers.emplace_back("Vary", "Origin");
}

void Site::over(const Exchange& exchange, const ExchangeResult& result) {
  metrics_.count_request(exchange.route, result.status, result.seconds);
  log_.write(exchange, result);
}

void Site::unreadable(std::string_view peer, int status) {
  metrics_.count_request("unreadable", status, 0);
  log_.write_unreadable(peer, status);
}

void Site::hurry() {
  if (service_ == nullptr) return;
  std::vector<std::shared_ptr<Generation>> all;
  for (Generation* const g : service_->generations) all.push_back(g->shared_from_this());
  for (const auto& g : all) g->stop(503, "the server is being stopped");
}

// ---- the description ---------------------------------------------------------------------------

std::string openapi_json(const ModelService* service, std::string_view version) {
  Json json = Json::parse(nanochat_openapi, nanochat_openapi_end);
  json["info"]["version"] = version;
  if (service != nullptr) {
    Json& schemas = json["components"]["schemas"];
    schemas["ModelId"]["enum"] = Json::array({service->name, nullptr});
    schemas["TokenId"]["maximum"] = service->tokenizer.vocab_size() - 1;
    const int64_t most = std::min(kMaxChoices, service->worker.max_in_flight());
    for (const char* const request : {"ChatRequest", "CompletionRequest"}) {
      schemas[request]["properties"]["n"]["maximum"] = most;
    }
  }
  return to_text(json);
}

}  // namespace nanochat::serve
