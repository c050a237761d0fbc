/// A refusal as an answer: OpenAI's error object.
#pragma once

#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include <nlohmann/json.hpp>

#include "core/error.h"
#include "serve/http.h"

namespace nanochat::serve {

/// What went wrong with one request. Thrown while a request is looked at; the router makes a
/// response of it, and nothing else does.
class ApiError : public std::runtime_error {
 public:
  ApiError(int status, const std::string& message, std::string code = {}, std::string param = {})
      : std::runtime_error(message),
        status_(status),
        code_(std::move(code)),
        param_(std::move(param)) {}

  [[nodiscard]] int status() const noexcept { return status_; }
  [[nodiscard]] const std::string& code() const noexcept { return code_; }
  [[nodiscard]] const std::string& param() const noexcept { return param_; }

 private:
  int status_;
  std::string code_, param_;
};

/// 400 about one parameter, named as a reader would: "messages[2].content".
template <typename... Args>
[[nodiscard]] ApiError bad_parameter(std::string param, fmt::format_string<Args...> format,
                                     Args&&... args) {
  const std::string message = param + ": " + fmt::format(format, std::forward<Args>(args)...);
  return ApiError(400, message, "invalid_value", std::move(param));
}

/// "invalid_request_error" for 400, "rate_limit_error" for 429, ...
[[nodiscard]] std::string_view error_type(int status) noexcept;

/// {"error": {"message": ..., "type": ..., "param": ..., "code": ...}}; empty texts are null.
[[nodiscard]] nlohmann::ordered_json error_json(int status, std::string_view message,
                                                std::string_view code = {},
                                                std::string_view param = {});
[[nodiscard]] HttpResponse error_response(int status, std::string_view message,
                                          std::string_view code = {}, std::string_view param = {});
[[nodiscard]] HttpResponse error_response(const ApiError& error);

/// Of valid JSON, with what is not UTF-8 mended: nothing that is sent may fail to be written.
[[nodiscard]] std::string to_text(const nlohmann::ordered_json& json);
[[nodiscard]] HttpResponse json_response(const nlohmann::ordered_json& json, int status = 200);

}  // namespace nanochat::serve
