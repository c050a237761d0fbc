/// The random numbers of CPython's random.Random and of NumPy's default_rng(42).permutation: the
/// order of upstream's tasks, few-shot examples and spelling words is made of them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace nanochat {

/// MT19937 (Matsumoto & Nishimura 1998), seeded as CPython seeds with an integer: by its absolute
/// value, so -1 and 1 are one seed.
class PythonRandom {
 public:
  explicit PythonRandom(uint64_t seed);

  [[nodiscard]] uint32_t next32() noexcept;
  /// random.random(): in [0, 1), 53 bits.
  [[nodiscard]] double random() noexcept;
  /// random.getrandbits(k), 1 <= k <= 64.
  [[nodiscard]] uint64_t bits(int k) noexcept;
  /// random.randrange(n), n >= 1. Without bias: draws again what is too large.
  [[nodiscard]] uint64_t below(uint64_t n) noexcept;
  /// random.choice(items), not empty.
  template <typename Items>
  [[nodiscard]] const auto& choice(const Items& items) noexcept {
    return items[static_cast<size_t>(below(std::size(items)))];
  }
  /// random.shuffle(items).
  template <typename Items>
  void shuffle(Items& items) noexcept {
    for (size_t i = std::size(items); i > 1; --i) {
      std::swap(items[i - 1], items[static_cast<size_t>(below(i))]);
    }
  }
  /// random.sample(range(n), k): k different ones of 0 .. n - 1. k <= n.
  [[nodiscard]] std::vector<int64_t> sample(int64_t n, int64_t k);

 private:
  void twist() noexcept;

  std::array<uint32_t, 624> state_;
  size_t next_ = 624;
};

/// numpy.random.default_rng(42).permutation(n): row i of every data set of upstream's tasks is row
/// permutation[i] of its file. n < 2^32.
[[nodiscard]] std::vector<uint32_t> numpy_permutation_42(int64_t n);

}  // namespace nanochat
