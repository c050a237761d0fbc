#include "serve/api_error.h"

namespace nanochat::serve {
namespace {

using Json = nlohmann::ordered_json;

Json or_null(std::string_view text) { return text.empty() ? Json(nullptr) : Json(text); }

}  // namespace

std::string_view error_type(int status) noexcept {
  switch (status) {
    case 401:
      return "authentication_error";
    case 403:
      return "permission_error";
    case 404:
      return "not_found_error";
    case 429:
      return "rate_limit_error";
    default:
      return status < 500 ? "invalid_request_error" : "server_error";
  }
}

Json error_json(int status, std::string_view message, std::string_view code,
                std::string_view param) {
  return {{"error",
           {{"message", message},
            {"type", error_type(status)},
            {"param", or_null(param)},
            {"code", or_null(code)}}}};
}

HttpResponse error_response(int status, std::string_view message, std::string_view code,
                            std::string_view param) {
  return json_response(error_json(status, message, code, param), status);
}

HttpResponse error_response(const ApiError& error) {
  return error_response(error.status(), error.what(), error.code(), error.param());
}

std::string to_text(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

HttpResponse json_response(const Json& json, int status) {
  return {.status = status, .content_type = "application/json", .body = to_text(json)};
}

}  // namespace nanochat::serve
