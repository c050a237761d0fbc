/// SHA-256 (FIPS 180-4), for fixtures that give the hash of what would be too long to keep.
#pragma once

#include <string>
#include <string_view>

namespace nanochat::test {

/// As 64 hexadecimal digits.
[[nodiscard]] std::string sha256(std::string_view bytes);

}  // namespace nanochat::test
