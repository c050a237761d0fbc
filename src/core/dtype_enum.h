/// The list of element types by itself: what includes core/dtype.h includes fmt, which nvcc's front
/// end cannot read.
#pragma once

#include <cstdint>

namespace nanochat {

/// kF64 exists for the reference backend alone: its finite-difference checks need the digits.
enum class DType : uint8_t { kF64, kF32, kBf16, kF16, kI64, kI32, kU8 };

/// A type as a value, for generic lambdas.
template <typename T>
struct TypeTag {
  using type = T;
};

}  // namespace nanochat
