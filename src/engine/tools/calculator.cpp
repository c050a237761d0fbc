#include "engine/tools/calculator.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <system_error>
#include <utility>
#include <variant>

#include <boost/multiprecision/cpp_int.hpp>

#include "core/error.h"

namespace nanochat {
namespace {

using boost::multiprecision::cpp_int;
using Number = std::variant<cpp_int, double>;  // Python's int and float

bool is_digit(char c) { return c >= '0' && c <= '9'; }

/// a / b to the nearest double, ties to even; nothing where that is infinite. b is not 0.
std::optional<double> nearest_quotient(const cpp_int& a, const cpp_int& b) {
  const bool negative = (a < 0) != (b < 0);  // of 0 / -5 too: Python says -0.0
  const double sign = negative ? -1.0 : 1.0;
  if (a == 0) return 0.0 * sign;
  const cpp_int numerator = abs(a), denominator = abs(b);
  const int64_t magnitude =
      static_cast<int64_t>(msb(numerator)) - static_cast<int64_t>(msb(denominator));
  if (magnitude > 1024) return std::nullopt;
  if (magnitude < -1080) return 0.0 * sign;
  // The quotient times 2^shift has 62 or 63 bits; the lowest tells whether anything is lost.
  const int64_t shift = 62 - magnitude;
  cpp_int whole, rest;
  if (shift >= 0) {
    divide_qr(cpp_int(numerator << shift), denominator, whole, rest);
  } else {
    divide_qr(numerator, cpp_int(denominator << -shift), whole, rest);
  }
  const uint64_t bits = static_cast<uint64_t>(whole) | static_cast<uint64_t>(rest != 0);
  // The last bit that the double has: 52 under its first one, but not under 2^-1074.
  const int64_t first = std::bit_width(bits) - 1 - shift;
  const int64_t last = std::max<int64_t>(first - 52, -1074);
  const int64_t n_dropped = last + shift;
  if (n_dropped > 63) return 0.0 * sign;
  const uint64_t dropped = bits & ((uint64_t{1} << n_dropped) - 1);
  const uint64_t half = uint64_t{1} << (n_dropped - 1);
  uint64_t kept = bits >> n_dropped;
  if (dropped > half || (dropped == half && kept % 2 == 1)) ++kept;
  const double value = std::ldexp(static_cast<double>(kept), static_cast<int>(last));
  if (std::isinf(value)) return std::nullopt;
  return value * sign;
}

std::optional<double> to_double(const Number& x) {
  if (const double* const value = std::get_if<double>(&x)) return *value;
  return nearest_quotient(std::get<cpp_int>(x), 1);
}

cpp_int floor_quotient(const cpp_int& a, const cpp_int& b) {
  cpp_int whole, rest;
  divide_qr(a, b, whole, rest);
  if (rest != 0 && (rest < 0) != (b < 0)) --whole;
  return whole;
}

/// Python's float //, by way of the remainder: the floor of a / b as it would be without rounding.
double floor_quotient(double a, double b) {
  double rest = std::fmod(a, b);
  double whole = (a - rest) / b;
  if (rest != 0 && (rest < 0) != (b < 0)) whole -= 1;
  if (whole == 0) return std::copysign(0.0, a / b);
  const double floor = std::floor(whole);
  return whole - floor > 0.5 ? floor + 1 : floor;
}

enum class Operator { kAdd, kSubtract, kMultiply, kDivide, kFloorDivide };

std::optional<Number> apply_to_integers(Operator op, const cpp_int& a, const cpp_int& b) {
  switch (op) {
    case Operator::kAdd:
      return a + b;
    case Operator::kSubtract:
      return a - b;
    case Operator::kMultiply:
      return a * b;
    case Operator::kDivide:
      if (b == 0) return std::nullopt;
      return nearest_quotient(a, b);
    case Operator::kFloorDivide:
      if (b == 0) return std::nullopt;
      return floor_quotient(a, b);
  }
  return std::nullopt;
}

std::optional<Number> apply(Operator op, const Number& x, const Number& y) {
  if (std::holds_alternative<cpp_int>(x) && std::holds_alternative<cpp_int>(y)) {
    return apply_to_integers(op, std::get<cpp_int>(x), std::get<cpp_int>(y));
  }
  const std::optional<double> a = to_double(x), b = to_double(y);
  if (!a || !b) return std::nullopt;
  const bool divides = op == Operator::kDivide || op == Operator::kFloorDivide;
  if (divides && *b == 0) return std::nullopt;
  switch (op) {
    case Operator::kAdd:
      return *a + *b;
    case Operator::kSubtract:
      return *a - *b;
    case Operator::kMultiply:
      return *a * *b;
    case Operator::kDivide:
      return *a / *b;
    case Operator::kFloorDivide:
      return floor_quotient(*a, *b);
  }
  return std::nullopt;
}

/// Python's repr: the shortest digits that give the same double again.
std::string to_text(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  char buffer[32];
  const auto end =
      std::to_chars(buffer, std::end(buffer), std::abs(value), std::chars_format::scientific).ptr;
  const std::string_view shortest(buffer, static_cast<size_t>(end - buffer));  // "1.25e-07"
  const size_t e = shortest.find('e');
  std::string digits(shortest.substr(0, e));
  std::erase(digits, '.');
  int exponent = 0;
  std::from_chars(shortest.data() + e + (shortest[e + 1] == '+' ? 2 : 1), end, exponent);
  const int n_digits = static_cast<int>(digits.size());
  std::string text = std::signbit(value) ? "-" : "";
  if (exponent < -4 || exponent >= 16) {
    text += digits.substr(0, 1);
    if (n_digits > 1) text += "." + digits.substr(1);
    text += fmt::format("e{}{:02}", exponent < 0 ? '-' : '+', std::abs(exponent));
  } else if (exponent < 0) {
    text += "0." + std::string(static_cast<size_t>(-exponent - 1), '0') + digits;
  } else {
    const auto n_whole = static_cast<size_t>(exponent + 1);
    if (digits.size() < n_whole + 1) digits.resize(n_whole + 1, '0');
    text += digits.substr(0, n_whole) + "." + digits.substr(n_whole);
  }
  return text;
}

std::optional<std::string> to_text(const Number& x) {
  if (const double* const value = std::get_if<double>(&x)) return to_text(*value);
  std::string text = std::get<cpp_int>(x).str();
  if (text.size() - text.starts_with('-') > kMaxCalculatorDigits) return std::nullopt;
  return text;
}

/// A place in a text. Both parsers stand on it.
class Cursor {
 public:
  explicit Cursor(std::string_view rest) : rest_(rest) {}

  void skip_spaces() { rest_.remove_prefix(std::min(rest_.find_first_not_of(' '), rest_.size())); }
  [[nodiscard]] bool at_end() {
    skip_spaces();
    return rest_.empty();
  }
  /// Spaces, then the symbol.
  [[nodiscard]] bool take(std::string_view symbol) {
    skip_spaces();
    if (!rest_.starts_with(symbol)) return false;
    rest_.remove_prefix(symbol.size());
    return true;
  }
  [[nodiscard]] std::string_view take_bytes(size_t n) {
    const std::string_view bytes = rest_.substr(0, n);
    rest_.remove_prefix(n);
    return bytes;
  }
  [[nodiscard]] std::string_view rest() const { return rest_; }

 private:
  std::string_view rest_;
};

/// sum := product (("+" | "-") product)*    product := signed (("*" | "/" | "//") signed)*
/// signed := ("+" | "-")* (number | "(" sum ")")
/// Each gives nothing where the text does not follow, or where the value does not exist.
class ArithmeticParser {
 public:
  explicit ArithmeticParser(std::string_view text) : cursor_(text) {}

  std::optional<Number> parse() {
    std::optional<Number> value = sum();
    return cursor_.at_end() ? value : std::nullopt;
  }

 private:
  std::optional<Number> sum() {
    std::optional<Number> value = product();
    while (value) {
      Operator op;
      if (cursor_.take("+")) {
        op = Operator::kAdd;
      } else if (cursor_.take("-")) {
        op = Operator::kSubtract;
      } else {
        break;
      }
      const std::optional<Number> right = product();
      value = right ? apply(op, *value, *right) : std::nullopt;
    }
    return value;
  }

  std::optional<Number> product() {
    std::optional<Number> value = signed_value();
    while (value) {
      Operator op;
      if (cursor_.take("//")) {
        op = Operator::kFloorDivide;
      } else if (cursor_.take("/")) {
        op = Operator::kDivide;
      } else if (cursor_.take("*")) {
        op = Operator::kMultiply;
      } else {
        break;
      }
      const std::optional<Number> right = signed_value();
      value = right ? apply(op, *value, *right) : std::nullopt;
    }
    return value;
  }

  std::optional<Number> signed_value() {
    bool negative = false;
    for (;;) {
      if (cursor_.take("-")) {
        negative = !negative;
      } else if (!cursor_.take("+")) {
        break;
      }
    }
    std::optional<Number> value = cursor_.take("(") ? parenthesized() : number();
    if (value && negative) {
      std::visit([](auto& x) { x = -x; }, *value);
    }
    return value;
  }

  std::optional<Number> parenthesized() {
    if (++depth_ > kMaxCalculatorDepth) return std::nullopt;
    std::optional<Number> value = sum();
    --depth_;
    return cursor_.take(")") ? value : std::nullopt;
  }

  std::optional<Number> number() {
    const std::string_view rest = cursor_.rest();  // take() has skipped the spaces
    size_t n = 0, n_points = 0;
    for (; n < rest.size() && (is_digit(rest[n]) || (rest[n] == '.' && n_points == 0)); ++n) {
      n_points += rest[n] == '.';
    }
    const std::string_view literal = cursor_.take_bytes(n);
    if (n == n_points) return std::nullopt;  // no digit
    if (n_points == 1) return float_literal(literal);
    const size_t first = std::min(literal.find_first_not_of('0'), n);
    if (first == n) return cpp_int(0);
    if (first > 0 || n > kMaxCalculatorDigits) return std::nullopt;  // 007 is none in Python
    return cpp_int(literal);
  }

  static std::optional<Number> float_literal(std::string_view literal) {
    double value = 0;
    const auto [end, error] = std::from_chars(literal.data(), literal.data() + literal.size(),
                                              value, std::chars_format::fixed);
    if (error == std::errc::result_out_of_range) {
      const bool is_small = literal.find_first_not_of('0') == literal.find('.');
      return is_small ? 0.0 : HUGE_VAL;
    }
    NC_CHECK(error == std::errc(), "'{}'", literal);
    return value;
  }

  Cursor cursor_;
  int depth_ = 0;
};

/// value := (literal+ | "(" value ")") method*
/// method := ".lower()" | ".upper()" | ".count(" value [","] ")"
class CountParser {
 public:
  explicit CountParser(std::string_view text) : cursor_(text) {}

  /// The number, where the text is one.
  std::optional<size_t> parse() {
    const std::optional<Value> result = value();
    if (!result || !cursor_.at_end() || !std::holds_alternative<size_t>(*result)) {
      return std::nullopt;
    }
    return std::get<size_t>(*result);
  }

 private:
  using Value = std::variant<std::string, size_t>;

  std::optional<Value> value() {
    if (++depth_ > kMaxCalculatorDepth) return std::nullopt;
    std::optional<Value> result;
    if (cursor_.take("(")) {
      result = value();
      if (!cursor_.take(")")) return std::nullopt;
    } else if (std::optional<std::string> text = literals()) {
      result = *std::move(text);
    }
    while (result && cursor_.take(".")) result = method(*result);
    --depth_;
    return result;
  }

  std::optional<Value> method(const Value& of) {
    if (!std::holds_alternative<std::string>(of)) return std::nullopt;  // a number has none
    std::string text = std::get<std::string>(of);
    if (cursor_.rest().starts_with("count(")) {
      static_cast<void>(cursor_.take("count("));
      const std::optional<Value> part = value();
      static_cast<void>(cursor_.take(","));
      if (!part || !std::holds_alternative<std::string>(*part) || !cursor_.take(")")) {
        return std::nullopt;
      }
      return count(text, std::get<std::string>(*part));
    }
    if (cursor_.take("lower()")) {
      for (char& c : text) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
      return text;
    }
    if (cursor_.take("upper()")) {
      for (char& c : text) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - ('a' - 'A')) : c;
      return text;
    }
    return std::nullopt;
  }

  std::optional<std::string> literals() {
    std::optional<std::string> text;
    for (;;) {
      std::string_view quote;
      for (const std::string_view candidate : {"'''", R"(""")", "'", "\""}) {
        if (quote.empty() && cursor_.take(candidate)) quote = candidate;
      }
      if (quote.empty()) return text;
      const size_t end = cursor_.rest().find(quote);
      if (end == std::string_view::npos) return std::nullopt;
      if (!text) text.emplace();
      *text += cursor_.take_bytes(end);
      static_cast<void>(cursor_.take_bytes(quote.size()));
    }
  }

  /// Those that do not overlap, from the left; of the empty text one before, between and after all.
  static size_t count(std::string_view text, std::string_view part) {
    if (part.empty()) return text.size() + 1;
    size_t n = 0;
    for (size_t at = text.find(part); at != std::string_view::npos;
         at = text.find(part, at + part.size())) {
      ++n;
    }
    return n;
  }

  Cursor cursor_;
  int depth_ = 0;
};

}  // namespace

std::optional<std::string> calculate(std::string_view text) {
  if (text.size() > kMaxCalculatorBytes) return std::nullopt;
  if (text.find_first_not_of("0123456789*+-/.() ,") == std::string_view::npos) {
    std::string expression(text);
    std::erase(expression, ',');
    const std::optional<Number> value = ArithmeticParser(expression).parse();
    return value ? to_text(*value) : std::nullopt;
  }
  const bool is_plain = std::ranges::all_of(text, [](char c) {
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           std::string_view("'\"()._ ,").find(c) != std::string_view::npos;
  });
  if (!is_plain) return std::nullopt;
  const std::optional<size_t> count = CountParser(text).parse();
  return count ? std::optional(std::to_string(*count)) : std::nullopt;
}

}  // namespace nanochat
