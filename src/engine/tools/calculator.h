/// The calculator that answers a model's python block.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace nanochat {

/// What calculate() does at most, so that no text of a model takes long or needs much memory: a
/// longer text, deeper parentheses or a number of more digits have no result. Since there are no
/// powers, no intermediate number has more digits than the text. A text at all the limits takes
/// less than 10 ms.
inline constexpr size_t kMaxCalculatorBytes = 16384;
inline constexpr int kMaxCalculatorDepth = 200;       ///< Python's own limit
inline constexpr size_t kMaxCalculatorDigits = 4300;  ///< of an integer read or printed; Python's

/// What Python would print for the value of `text`, or nothing where it is no expression of these
/// two kinds, or has no value (1/0, a quotient that is no double). Upstream: `use_calculator` in
/// nanochat/engine.py.
///
/// Arithmetic: + - * / // ( ), signs and spaces on decimal literals such as 12, 1.5, .5 and 1,000
/// (commas are left out everywhere). Integers are exact, of any size; / gives the nearest double,
/// also of large integers; // rounds down. No powers, no exponents.
///
/// Counting: 'strawberry'.count('r'), with either quotes, of ASCII letters, digits and any of
/// ' " ( ) . _ , and space. Literals side by side are one, as in Python; .lower() and .upper() may
/// stand before .count. Here we leave upstream where its answer is wrong: commas inside literals
/// count, and so do words in which it finds a forbidden name ('direct' has "dir" in it).
///
/// Not followed: whatever else upstream's filter lets through to Python's eval (tuples, `or`, `if`,
/// bytes, join). Nothing is executed. Thread-safe.
[[nodiscard]] std::optional<std::string> calculate(std::string_view text);

}  // namespace nanochat
