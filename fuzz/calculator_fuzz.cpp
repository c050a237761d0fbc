/// Any bytes at all have a result or none, soon; the result is of one of the few shapes that Python
/// prints, stands for itself where it is a text that we read, and is the same in parentheses.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/error.h"
#include "engine/tools/calculator.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  const auto result = nanochat::calculate(text);
  if (!result) return 0;
  NC_CHECK(result->find_first_not_of("-.0123456789e+infa") == std::string::npos, "{}", *result);
  if (result->find_first_of("en") == std::string::npos) {  // neither an exponent, nan nor inf
    NC_CHECK(nanochat::calculate(*result) == result, "{}", *result);
  }
  if (size + 2 <= nanochat::kMaxCalculatorBytes && text.find("((((((((") == std::string::npos) {
    NC_CHECK(nanochat::calculate("(" + text + ")") == result, "{}", *result);
  }
  return 0;
}
