/// How the reference kernels read and write numbers: everything is a double between the read and
/// the one rounding at the write.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <type_traits>

#include "core/dtype.h"
#include "core/tensor.h"

namespace nanochat::reference {

/// The C++ type of stats_dtype(T) and of the rotary tables beside activations of type T.
template <typename T>
using Stat = std::conditional_t<std::is_same_v<T, double>, double, float>;

/// Exact.
template <typename T>
[[nodiscard]] double widen(T x) noexcept {
  if constexpr (std::is_same_v<T, double>) {
    return x;
  } else {
    return static_cast<double>(static_cast<float>(x));
  }
}

/// To nearest, ties to even, in one rounding. On the way from double to bf16 the float in between
/// must not round to the middle of two bf16 numbers: then the second rounding would take that for a
/// tie and forget on which side the double was. Such a float is moved by one bit to that side.
template <typename T>
[[nodiscard]] T round_to(double x) noexcept {
  if constexpr (std::is_same_v<T, Bf16>) {
    const auto nearest = static_cast<float>(x);
    auto bits = std::bit_cast<uint32_t>(nearest);
    const bool looks_like_a_tie = (bits & 0xffffU) == 0x8000U;
    if (looks_like_a_tie && static_cast<double>(nearest) != x) {
      bits += std::abs(x) > std::abs(static_cast<double>(nearest)) ? 1U : ~0U;
    }
    return Bf16(std::bit_cast<float>(bits));
  } else if constexpr (std::is_same_v<T, double>) {
    return x;
  } else {
    return T(static_cast<float>(x));
  }
}

/// How many items of so many multiplications each make a thread worth waking: about 20 us of these
/// loops against the few us that a team of threads costs.
[[nodiscard]] inline int64_t grain_for(int64_t work_per_item) noexcept {
  constexpr int64_t kWorthAThread = int64_t{1} << 15;
  return 1 + kWorthAThread / std::max<int64_t>(work_per_item, 1);
}

/// f(TypeTag<A>{}, TypeTag<B>{}) for two floating dtypes.
template <typename F>
void dispatch_floats(DType a, DType b, F&& f) {
  dispatch_float(a, [&](auto tag_a) { dispatch_float(b, [&](auto tag_b) { f(tag_a, tag_b); }); });
}

}  // namespace nanochat::reference
