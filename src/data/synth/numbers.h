/// Numbers in words.
#pragma once

#include <cstdint>
#include <string>

#include "data/synth/language.h"

namespace nanochat::synth {

/// "thirty-seven"; "三十七". 0 <= n <= 100.
[[nodiscard]] std::string number_words(int64_t n, Language language);

}  // namespace nanochat::synth
