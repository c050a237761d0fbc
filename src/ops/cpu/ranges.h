/// How the cpu backend cuts tensors into ranges for its threads.
#pragma once

#include <algorithm>
#include <cstdint>

#include "core/parallel.h"
#include "core/tensor.h"
#include "ops/cpu/row_kernels.h"

namespace nanochat::cpu {

/// Elements below which a second thread does not pay: 16384 floats take one core about 5 us from
/// memory, and waking the others about 1.
inline constexpr int64_t kElementGrain = 16384;

/// Index of a tensor's dtype in the kernel tables.
[[nodiscard]] inline StorageType type_of(const Tensor& x) noexcept {
  return x.dtype() == DType::kBf16 ? kBf16 : kF32;
}
/// True for the dtypes that the kernel tables cover.
[[nodiscard]] inline bool has_kernels(const Tensor& x) noexcept {
  return x.dtype() == DType::kF32 || x.dtype() == DType::kBf16;
}

[[nodiscard]] inline const void* at(const Tensor& x, int64_t element) noexcept {
  return static_cast<const char*>(x.raw()) + element * size_of(x.dtype());
}
[[nodiscard]] inline void* at(Tensor& x, int64_t element) noexcept {
  return static_cast<char*>(x.raw()) + element * size_of(x.dtype());
}

/// f(begin, count) over ranges of [0, n).
template <typename F>
void for_elements(int64_t n, F&& f) noexcept {
  parallel_for(n, kElementGrain, [&](int64_t begin, int64_t end) { f(begin, end - begin); });
}
/// f(first row, rows) over ranges of [0, n_rows), each of C elements.
template <typename F>
void for_rows(int64_t n_rows, int64_t C, F&& f) noexcept {
  const int64_t grain = std::max<int64_t>(1, kElementGrain / std::max<int64_t>(C, 1));
  parallel_for(n_rows, grain, [&](int64_t begin, int64_t end) { f(begin, end - begin); });
}

}  // namespace nanochat::cpu
