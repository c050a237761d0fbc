/// Element types of tensors.
#pragma once

#include <bit>
#include <cstdint>
#include <optional>
#include <string_view>
#include <type_traits>
#include <utility>

#include "core/dtype_enum.h"
#include "core/error.h"

namespace nanochat {

/// bfloat16: the upper half of an IEEE float. from_float rounds to nearest even and keeps NaN a
/// NaN.
struct Bf16 {
  uint16_t bits = 0;

  Bf16() = default;
  explicit Bf16(float x) noexcept {
    const auto u = std::bit_cast<uint32_t>(x);
    bits = (u & 0x7fffffffU) > 0x7f800000U
               ? static_cast<uint16_t>((u >> 16) | 0x40U)
               : static_cast<uint16_t>((u + 0x7fffU + ((u >> 16) & 1U)) >> 16);
  }
  explicit operator float() const noexcept {
    return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
  }
};

/// IEEE binary16, for files and CUDA; conversions are exact or round to nearest even.
struct F16 {
  uint16_t bits = 0;

  F16() = default;
  explicit F16(float x) noexcept;
  explicit operator float() const noexcept;
};

[[nodiscard]] constexpr int64_t size_of(DType dtype) noexcept {
  switch (dtype) {
    case DType::kF64:
    case DType::kI64:
      return 8;
    case DType::kF32:
    case DType::kI32:
      return 4;
    case DType::kBf16:
    case DType::kF16:
      return 2;
    case DType::kU8:
      return 1;
  }
  return 0;
}

[[nodiscard]] constexpr bool is_float(DType dtype) noexcept { return dtype <= DType::kF16; }

/// "f32", "bf16", ... as users type them in --dtype.
[[nodiscard]] std::string_view name_of(DType dtype) noexcept;
[[nodiscard]] std::optional<DType> parse_dtype(std::string_view name) noexcept;

/// Statistics that accompany a tensor of `dtype` (rstd, log-sum-exp, losses): f64 beside f64, else
/// f32.
[[nodiscard]] constexpr DType stats_dtype(DType dtype) noexcept {
  return dtype == DType::kF64 ? DType::kF64 : DType::kF32;
}

template <typename T>
inline constexpr DType kDTypeOf = [] {
  if constexpr (std::is_same_v<T, double>) return DType::kF64;
  if constexpr (std::is_same_v<T, float>) return DType::kF32;
  if constexpr (std::is_same_v<T, Bf16>) return DType::kBf16;
  if constexpr (std::is_same_v<T, F16>) return DType::kF16;
  if constexpr (std::is_same_v<T, int64_t>) return DType::kI64;
  if constexpr (std::is_same_v<T, int32_t>) return DType::kI32;
  if constexpr (std::is_same_v<T, uint8_t>) return DType::kU8;
}();

/// Calls f(TypeTag<T>{}) with the C++ type of a floating dtype.
template <typename F>
decltype(auto) dispatch_float(DType dtype, F&& f) {
  switch (dtype) {
    case DType::kF64:
      return f(TypeTag<double>{});
    case DType::kF32:
      return f(TypeTag<float>{});
    case DType::kBf16:
      return f(TypeTag<Bf16>{});
    case DType::kF16:
      return f(TypeTag<F16>{});
    default:
      check_failed(__FILE__, __LINE__, "is_float(dtype)", std::string(name_of(dtype)));
  }
}

}  // namespace nanochat
