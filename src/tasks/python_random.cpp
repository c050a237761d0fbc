#include "tasks/python_random.h"

#include <bit>
#include <numeric>
#include <unordered_set>

#include "core/error.h"

namespace nanochat {
namespace {

/// init_genrand of the reference implementation.
std::array<uint32_t, 624> filled(uint32_t seed) {
  std::array<uint32_t, 624> state{};
  state[0] = seed;
  for (uint32_t i = 1; i < 624; ++i) {
    state[i] = 1812433253U * (state[i - 1] ^ state[i - 1] >> 30) + i;
  }
  return state;
}

}  // namespace

PythonRandom::PythonRandom(uint64_t seed) : state_(filled(19650218U)) {
  // init_by_array, with the seed's 32-bit words as the key.
  const std::array<uint32_t, 2> key{static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)};
  const uint32_t words = key[1] == 0 ? 1 : 2;
  uint32_t i = 1, j = 0;
  const auto wrap = [this, &i] {
    if (++i == 624) {
      state_[0] = state_[623];
      i = 1;
    }
  };
  for (int k = 0; k < 624; ++k) {
    state_[i] = (state_[i] ^ (state_[i - 1] ^ state_[i - 1] >> 30) * 1664525U) + key[j] + j;
    wrap();
    j = (j + 1) % words;
  }
  for (int k = 0; k < 623; ++k) {
    state_[i] = (state_[i] ^ (state_[i - 1] ^ state_[i - 1] >> 30) * 1566083941U) - i;
    wrap();
  }
  state_[0] = 0x80000000U;
}

void PythonRandom::twist() noexcept {
  for (size_t i = 0; i < 624; ++i) {
    const uint32_t y = (state_[i] & 0x80000000U) | (state_[(i + 1) % 624] & 0x7fffffffU);
    state_[i] = state_[(i + 397) % 624] ^ y >> 1 ^ ((y & 1U) != 0 ? 0x9908b0dfU : 0U);
  }
  next_ = 0;
}

uint32_t PythonRandom::next32() noexcept {
  if (next_ == 624) twist();
  uint32_t y = state_[next_++];
  y ^= y >> 11;
  y ^= y << 7 & 0x9d2c5680U;
  y ^= y << 15 & 0xefc60000U;
  return y ^ y >> 18;
}

double PythonRandom::random() noexcept {
  const uint32_t high = next32() >> 5, low = next32() >> 6;
  return (high * 67108864.0 + low) / 9007199254740992.0;
}

uint64_t PythonRandom::bits(int k) noexcept {
  if (k <= 32) return next32() >> (32 - k);
  const uint64_t low = next32();  // the lowest word is drawn first
  return low | static_cast<uint64_t>(next32() >> (64 - k)) << 32;
}

uint64_t PythonRandom::below(uint64_t n) noexcept {
  const auto k = static_cast<int>(std::bit_width(n));
  uint64_t drawn = bits(k);
  while (drawn >= n) drawn = bits(k);
  return drawn;
}

std::vector<int64_t> PythonRandom::sample(int64_t n, int64_t k) {
  NC_CHECK(0 <= k && k <= n, "{} of {}", k, n);
  // CPython's choice between two methods: by the memory that a set of k takes. 4^ceil(log4(3k)).
  int64_t limit = 21;
  if (k > 5) {
    int64_t power = 1;
    while (power < 3 * k) power *= 4;
    limit += power;
  }
  std::vector<int64_t> drawn;
  drawn.reserve(static_cast<size_t>(k));
  if (n <= limit) {
    std::vector<int64_t> pool(static_cast<size_t>(n));
    std::iota(pool.begin(), pool.end(), 0);
    for (int64_t i = 0; i < k; ++i) {
      const size_t j = below(static_cast<uint64_t>(n - i));
      drawn.push_back(pool[j]);
      pool[j] = pool[static_cast<size_t>(n - i - 1)];
    }
    return drawn;
  }
  std::unordered_set<int64_t> seen;
  while (std::ssize(drawn) < k) {
    const auto j = static_cast<int64_t>(below(static_cast<uint64_t>(n)));
    if (seen.insert(j).second) drawn.push_back(j);
  }
  return drawn;
}

std::vector<uint32_t> numpy_permutation_42(int64_t n) {
  NC_CHECK(0 <= n && n < int64_t{1} << 32, "permutation of {}", n);
  // PCG64 (O'Neill 2014: a 128-bit LCG, XSL-RR output), in the state that SeedSequence(42) gives
  // it.
  __extension__ typedef unsigned __int128 U128;  // what -Wpedantic asks for
  const auto wide = [](uint64_t high, uint64_t low) { return static_cast<U128>(high) << 64 | low; };
  const U128 multiplier = wide(2549297995355413924U, 4865540595714422341U);
  const U128 increment = wide(0xfa505436c9a8416eU, 0x66caf2e28d25abffU);
  U128 state = wide(0xcea44f6798798f2aU, 0xacbc7c9d68860ac8U);
  uint64_t kept = 0;  // the other half of an output
  bool has_kept = false;
  const auto next32 = [&]() -> uint32_t {
    if (has_kept) {
      has_kept = false;
      return static_cast<uint32_t>(kept >> 32);
    }
    state = state * multiplier + increment;
    const auto high = static_cast<uint64_t>(state >> 64);
    kept = std::rotr(high ^ static_cast<uint64_t>(state), static_cast<int>(high >> 58));
    has_kept = true;
    return static_cast<uint32_t>(kept);
  };
  std::vector<uint32_t> order(static_cast<size_t>(n));
  std::iota(order.begin(), order.end(), 0U);
  for (auto i = static_cast<uint32_t>(std::max<int64_t>(n, 1) - 1); i > 0; --i) {
    const uint32_t mask = i == UINT32_MAX ? UINT32_MAX : std::bit_ceil(i + 1) - 1;
    uint32_t j = next32() & mask;
    while (j > i) j = next32() & mask;
    std::swap(order[i], order[j]);
  }
  return order;
}

}  // namespace nanochat
