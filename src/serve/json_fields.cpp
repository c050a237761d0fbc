#include "serve/json_fields.h"

#include <algorithm>
#include <cmath>

#include "serve/api_error.h"

namespace nanochat::serve {
namespace {

using Json = nlohmann::json;

/// "a list" and so on, for errors.
std::string_view kind_of(const Json& value) {
  switch (value.type()) {
    case Json::value_t::object:
      return "an object";
    case Json::value_t::array:
      return "a list";
    case Json::value_t::string:
      return "a text";
    case Json::value_t::boolean:
      return "a boolean";
    case Json::value_t::null:
      return "null";
    default:
      return "a number";
  }
}

}  // namespace

int64_t json_depth(std::string_view text) noexcept {
  int64_t depth = 0, deepest = 0;
  bool in_text = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_text) {
      if (c == '\\') {
        ++i;
      } else if (c == '"') {
        in_text = false;
      }
    } else if (c == '"') {
      in_text = true;
    } else if (c == '[' || c == '{') {
      deepest = std::max(deepest, ++depth);
    } else if (c == ']' || c == '}') {
      --depth;
    }
  }
  return deepest;
}

bool has_zero_byte(std::string_view text) noexcept {
  return text.find('\0') != std::string_view::npos;
}

Json parse_body(std::string_view text) {
  if (json_depth(text) > kMaxJsonDepth) {
    throw ApiError(400, fmt::format("the JSON is more than {} levels deep", kMaxJsonDepth),
                   "invalid_json");
  }
  if (has_zero_byte(text)) throw ApiError(400, "the body is no JSON: a zero byte", "invalid_json");
  try {
    Json json = Json::parse(text);
    if (!json.is_object()) {
      throw ApiError(400, fmt::format("the body is {}: expected an object", kind_of(json)),
                     "invalid_json");
    }
    return json;
  } catch (const Json::exception& error) {
    // "[json.exception.parse_error.101] parse error at line 1, column 2: ..."
    std::string what = error.what();
    if (const size_t end = what.find("] "); end != std::string::npos) what.erase(0, end + 2);
    throw ApiError(400, "the body is no JSON: " + what, "invalid_json");
  }
}

const Json& member(const Json& object, std::string_view name) {
  static const Json kNull;
  const auto found = object.find(name);
  return found == object.end() ? kNull : *found;
}

std::optional<std::string> text_member(const Json& object, std::string_view name) {
  const Json& value = member(object, name);
  if (value.is_null()) return {};
  if (!value.is_string()) {
    throw bad_parameter(std::string(name), "{}, expected a text", kind_of(value));
  }
  return value.get<std::string>();
}

std::optional<bool> bool_member(const Json& object, std::string_view name) {
  const Json& value = member(object, name);
  if (value.is_null()) return {};
  if (!value.is_boolean()) {
    throw bad_parameter(std::string(name), "{}, expected true or false", kind_of(value));
  }
  return value.get<bool>();
}

std::optional<int64_t> integer_of(const Json& value) noexcept {
  if (value.is_number_unsigned()) {
    const auto x = value.get<uint64_t>();
    if (x > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) return {};
    return static_cast<int64_t>(x);
  }
  if (value.is_number_integer()) return value.get<int64_t>();
  if (!value.is_number_float()) return {};
  const double x = value.get<double>();
  constexpr double kMost = 9007199254740992;  // 2^53: beyond it not every integer is a double
  if (!(std::abs(x) <= kMost) || x != std::floor(x)) return {};
  return static_cast<int64_t>(x);
}

std::optional<int64_t> integer_member(const Json& object, std::string_view name, int64_t lowest,
                                      int64_t highest) {
  const Json& value = member(object, name);
  if (value.is_null()) return {};
  if (!value.is_number()) {
    throw bad_parameter(std::string(name), "{}, expected an integer", kind_of(value));
  }
  const std::optional<int64_t> x = integer_of(value);
  if (!x) throw bad_parameter(std::string(name), "{} is no integer of 64 bits", value.dump());
  if (*x < lowest || *x > highest) {
    throw bad_parameter(std::string(name), "{}, expected {} to {}", *x, lowest, highest);
  }
  return x;
}

std::optional<double> number_member(const Json& object, std::string_view name, double lowest,
                                    double highest) {
  const Json& value = member(object, name);
  if (value.is_null()) return {};
  if (!value.is_number()) {
    throw bad_parameter(std::string(name), "{}, expected a number", kind_of(value));
  }
  const double x = value.get<double>();
  if (!(x >= lowest && x <= highest)) {
    throw bad_parameter(std::string(name), "{}, expected {} to {}", x, lowest, highest);
  }
  return x;
}

}  // namespace nanochat::serve
