#include "support/sha256.h"

#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>

#include <fmt/format.h>

namespace nanochat::test {
namespace {

using State = std::array<uint32_t, 8>;

/// The first 32 bits of the fractional parts of the square roots (initial state) or cube roots
/// (round constants) of the first primes. long double holds enough of them for these.
template <size_t kSize>
std::array<uint32_t, kSize> fractions(long double (*root)(long double)) {
  std::array<uint32_t, kSize> bits{};
  int prime = 1;
  for (uint32_t& b : bits) {
    for (bool is_prime = false; !is_prime;) {
      ++prime;
      is_prime = true;
      for (int d = 2; d * d <= prime; ++d) is_prime = is_prime && prime % d != 0;
    }
    const long double r = root(static_cast<long double>(prime));
    b = static_cast<uint32_t>(std::ldexp(r - std::floor(r), 32));
  }
  return bits;
}

void add_block(State& state, const char* block) {
  static const auto k = fractions<64>([](long double x) { return std::cbrt(x); });
  std::array<uint32_t, 64> w{};
  for (size_t t = 0; t < 64; ++t) {
    if (t < 16) {
      for (size_t i = 0; i < 4; ++i) w[t] = w[t] << 8 | static_cast<uint8_t>(block[4 * t + i]);
      continue;
    }
    const uint32_t x = w[t - 15], y = w[t - 2];
    w[t] = w[t - 16] + (std::rotr(x, 7) ^ std::rotr(x, 18) ^ x >> 3) + w[t - 7] +
           (std::rotr(y, 17) ^ std::rotr(y, 19) ^ y >> 10);
  }
  auto [a, b, c, d, e, f, g, h] = state;
  for (size_t t = 0; t < 64; ++t) {
    const uint32_t t1 = h + (std::rotr(e, 6) ^ std::rotr(e, 11) ^ std::rotr(e, 25)) +
                        ((e & f) ^ (~e & g)) + k[t] + w[t];
    const uint32_t t2 =
        (std::rotr(a, 2) ^ std::rotr(a, 13) ^ std::rotr(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
    h = g, g = f, f = e, e = d + t1;
    d = c, c = b, b = a, a = t1 + t2;
  }
  const State added{a, b, c, d, e, f, g, h};
  for (size_t i = 0; i < 8; ++i) state[i] += added[i];
}

}  // namespace

std::string sha256(std::string_view bytes) {
  State state = fractions<8>([](long double x) { return std::sqrt(x); });
  size_t at = 0;
  for (; at + 64 <= bytes.size(); at += 64) add_block(state, bytes.data() + at);
  // The rest, one bit, zeros, and the length in bits, to whole blocks.
  std::string rest(bytes.substr(at));
  rest += '\x80';
  while (rest.size() % 64 != 56) rest += '\0';
  for (int shift = 56; shift >= 0; shift -= 8) {
    rest += static_cast<char>(uint64_t{bytes.size()} * 8 >> shift);
  }
  for (size_t i = 0; i < rest.size(); i += 64) add_block(state, rest.data() + i);
  std::string hex;
  for (const uint32_t word : state) hex += fmt::format("{:08x}", word);
  return hex;
}

}  // namespace nanochat::test
