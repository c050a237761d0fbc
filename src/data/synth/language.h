/// The two languages of the small world.
#pragma once

#include <cstdint>
#include <string_view>

namespace nanochat::synth {

enum class Language : uint8_t { kEnglish, kChinese };

/// "en", "zh".
[[nodiscard]] constexpr std::string_view code(Language language) noexcept {
  return language == Language::kEnglish ? "en" : "zh";
}

}  // namespace nanochat::synth
