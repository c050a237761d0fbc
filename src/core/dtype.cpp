#include "core/dtype.h"

#include <array>
#include <cmath>

namespace nanochat {
namespace {

struct Name {
  DType dtype;
  std::string_view name;
};
constexpr std::array<Name, 7> kNames{{{DType::kF64, "f64"},
                                      {DType::kF32, "f32"},
                                      {DType::kBf16, "bf16"},
                                      {DType::kF16, "f16"},
                                      {DType::kI64, "i64"},
                                      {DType::kI32, "i32"},
                                      {DType::kU8, "u8"}}};

}  // namespace

std::string_view name_of(DType dtype) noexcept {
  for (const Name& n : kNames) {
    if (n.dtype == dtype) return n.name;
  }
  return "?";
}

std::optional<DType> parse_dtype(std::string_view name) noexcept {
  for (const Name& n : kNames) {
    if (n.name == name) return n.dtype;
  }
  return std::nullopt;
}

// A half has 5 exponent bits (bias 15) and 10 fraction bits.
F16::F16(float x) noexcept {
  const auto u = std::bit_cast<uint32_t>(x);
  const auto sign = static_cast<uint16_t>((u >> 16) & 0x8000U);
  const uint32_t magnitude = u & 0x7fffffffU;
  if (magnitude > 0x7f800000U) {  // NaN
    bits = static_cast<uint16_t>(sign | 0x7e00U);
  } else if (magnitude >= 0x477ff000U) {  // rounds to 65520 or more: infinity
    bits = static_cast<uint16_t>(sign | 0x7c00U);
  } else if (magnitude < 0x38800000U) {  // below 2^-14: subnormal, in units of 2^-24
    const float scaled = std::bit_cast<float>(magnitude) * 16777216.0F;
    bits = static_cast<uint16_t>(sign | static_cast<uint16_t>(std::nearbyintf(scaled)));
  } else {
    const uint32_t rebased = magnitude - 0x38000000U;  // exponent bias 127 -> 15
    bits = static_cast<uint16_t>(sign | ((rebased + 0xfffU + ((rebased >> 13) & 1U)) >> 13));
  }
}

F16::operator float() const noexcept {
  const uint32_t sign = static_cast<uint32_t>(bits & 0x8000U) << 16;
  const uint32_t exponent = (bits >> 10) & 0x1fU;
  const uint32_t fraction = bits & 0x3ffU;
  if (exponent == 0) {
    const float magnitude = static_cast<float>(fraction) * (1.0F / 16777216.0F);
    return std::bit_cast<float>(sign | std::bit_cast<uint32_t>(magnitude));
  }
  if (exponent == 31) return std::bit_cast<float>(sign | 0x7f800000U | (fraction << 13));
  return std::bit_cast<float>(sign | ((exponent + 112) << 23) | (fraction << 13));
}

}  // namespace nanochat
