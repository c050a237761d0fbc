/// Reading a request's JSON: bounded, and with errors that name the parameter.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

namespace nanochat::serve {

inline constexpr int64_t kMaxJsonDepth = 32;
/// Lists and objects in one another, at the deepest place, as far as brackets outside of texts
/// say; of text that need not be JSON.
[[nodiscard]] int64_t json_depth(std::string_view text) noexcept;
/// No JSON has one; the parser takes it for the end, and does not look at what follows.
[[nodiscard]] bool has_zero_byte(std::string_view text) noexcept;

/// An object. Throws ApiError (400): no JSON, bytes that are not UTF-8, lists and objects more than
/// kMaxJsonDepth deep, something else than an object.
[[nodiscard]] nlohmann::json parse_body(std::string_view text);

// Members of an object. Null is as if it were not there. They throw ApiError (400) with the
// parameter's name for another type, or a value out of range.

/// Null where there is none.
[[nodiscard]] const nlohmann::json& member(const nlohmann::json& object, std::string_view name);
[[nodiscard]] std::optional<std::string> text_member(const nlohmann::json& object,
                                                     std::string_view name);
[[nodiscard]] std::optional<bool> bool_member(const nlohmann::json& object, std::string_view name);
/// 2.0 is the integer 2.
[[nodiscard]] std::optional<int64_t> integer_member(
    const nlohmann::json& object, std::string_view name,
    int64_t lowest = std::numeric_limits<int64_t>::min(),
    int64_t highest = std::numeric_limits<int64_t>::max());
[[nodiscard]] std::optional<double> number_member(const nlohmann::json& object,
                                                  std::string_view name, double lowest,
                                                  double highest);
/// A whole number, whatever its spelling; nothing: it is none.
[[nodiscard]] std::optional<int64_t> integer_of(const nlohmann::json& value) noexcept;

}  // namespace nanochat::serve
