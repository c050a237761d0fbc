#include "support/random.h"

#include <cmath>
#include <numbers>
#include <random>
#include <utility>
#include <vector>

namespace nanochat::test {
namespace {

/// std::mt19937_64 is the same everywhere, the distributions of <random> are not: hence our own.
class Generator {
 public:
  explicit Generator(uint64_t seed) : engine_(seed * 0x9e3779b97f4a7c15U + 1) {}

  /// Uniform in [0, 1), 53 bits.
  double uniform() { return static_cast<double>(engine_() >> 11) * 0x1p-53; }
  /// Box-Muller; 1 - u is never 0.
  double normal() {
    const double radius = std::sqrt(-2 * std::log(1 - uniform()));
    return radius * std::cos(2 * std::numbers::pi * uniform());
  }
  /// Uniform in [0, below).
  int64_t integer(int64_t below) {
    return static_cast<int64_t>(uniform() * static_cast<double>(below));
  }

 private:
  std::mt19937_64 engine_;
};

template <typename Draw>
Tensor filled(Shape shape, DType dtype, Draw&& draw) {
  Tensor x(shape, dtype);
  dispatch_float(dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    for (T& value : x.span<T>()) {
      if constexpr (std::is_same_v<T, double>) {
        value = draw();
      } else {
        value = T(static_cast<float>(draw()));
      }
    }
  });
  return x;
}

}  // namespace

Tensor random_normal(Shape shape, DType dtype, uint64_t seed, double std) {
  Generator generator(seed);
  return filled(shape, dtype, [&] { return std * generator.normal(); });
}

Tensor random_uniform(Shape shape, DType dtype, uint64_t seed, double low, double high) {
  Generator generator(seed);
  return filled(shape, dtype, [&] { return low + (high - low) * generator.uniform(); });
}

Tensor random_ids(int64_t n, int64_t below, uint64_t seed, double ignored_frac) {
  Generator generator(seed);
  Tensor ids({n}, DType::kI32);
  for (int32_t& id : ids.span<int32_t>()) {
    const bool ignored = generator.uniform() < ignored_frac;
    const auto drawn = static_cast<int32_t>(generator.integer(below));
    id = ignored ? -1 : drawn;
  }
  return ids;
}

TokenRuns random_runs(int64_t n_runs, int64_t max_length, uint64_t seed, int64_t max_position) {
  Generator generator(seed);
  std::vector<Run> runs(static_cast<size_t>(n_runs));
  int64_t n_tokens = 0;
  for (int64_t r = 0; r < n_runs; ++r) {
    int64_t length = generator.integer(max_length + 1);
    if (r == 0) length = max_length;
    if (r == 1) length = 0;
    if (r == 2) length = 1;
    runs[static_cast<size_t>(r)] = {
        .row_begin = static_cast<int32_t>(n_tokens),
        .length = static_cast<int32_t>(length),
        .position = static_cast<int32_t>(generator.integer(max_position + 1)),
        .slot = static_cast<int32_t>(r)};
    n_tokens += length;
  }
  for (int64_t r = n_runs - 1; r > 0; --r) {  // Fisher-Yates
    std::swap(runs[static_cast<size_t>(r)].slot,
              runs[static_cast<size_t>(generator.integer(r + 1))].slot);
  }
  return {runs, n_tokens};
}

}  // namespace nanochat::test
