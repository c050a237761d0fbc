/// Tensors that notice when a kernel leaves its bounds.
#pragma once

#include <cstring>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "core/tensor.h"

namespace nanochat::test {

/// A tensor between two fences of 256 bytes in one allocation. The fences read as NaN in every
/// floating dtype, so that a stray read poisons the result, and check() finds a stray write. The
/// tensor itself starts as bytes 0xFF, also NaN: an output that is not overwritten whole, or that
/// is added to where it should be set, shows.
class GuardedTensor {
 public:
  GuardedTensor(Shape shape, DType dtype)
      : inside_bytes_(shape.numel() * size_of(dtype)),
        all_({kFenceBytes + inside_bytes_ + kFenceBytes}, DType::kU8),
        tensor_(all_.storage(), kFenceBytes, shape, dtype) {
    std::memset(all_.raw(), 0xff, static_cast<size_t>(all_.size_bytes()));
    for (int64_t i = 0; i < kFenceBytes; ++i) {
      all_.data<uint8_t>()[i] = fence_byte(i);
      all_.data<uint8_t>()[kFenceBytes + inside_bytes_ + i] = fence_byte(i);
    }
  }
  /// Holds a copy of `initial`, for what is updated in place, and for inputs.
  explicit GuardedTensor(const Tensor& initial) : GuardedTensor(initial.shape(), initial.dtype()) {
    if (inside_bytes_ > 0) {
      std::memcpy(tensor_.raw(), initial.raw(), static_cast<size_t>(inside_bytes_));
    }
  }
  GuardedTensor(const GuardedTensor&) = delete;
  GuardedTensor& operator=(const GuardedTensor&) = delete;

  [[nodiscard]] Tensor& tensor() noexcept { return tensor_; }
  [[nodiscard]] const Tensor& tensor() const noexcept { return tensor_; }
  Tensor& operator*() noexcept { return tensor_; }
  const Tensor& operator*() const noexcept { return tensor_; }

  /// EXPECT_TRUE(guarded.check()): passes while both fences stand.
  [[nodiscard]] ::testing::AssertionResult check() const {
    const auto* bytes = static_cast<const uint8_t*>(all_.raw());
    const uint8_t* after = bytes + kFenceBytes + inside_bytes_;
    for (int64_t i = kFenceBytes - 1; i >= 0; --i) {
      if (bytes[i] == fence_byte(i)) continue;
      return ::testing::AssertionFailure()
             << fmt::format("a stray write {} bytes before a {} {}", kFenceBytes - i,
                            name_of(tensor_.dtype()), tensor_.shape());
    }
    for (int64_t i = 0; i < kFenceBytes; ++i) {
      if (after[i] == fence_byte(i)) continue;
      return ::testing::AssertionFailure()
             << fmt::format("a stray write {} bytes after the end of a {} {}", i,
                            name_of(tensor_.dtype()), tensor_.shape());
    }
    return ::testing::AssertionSuccess();
  }

 private:
  static constexpr int64_t kFenceBytes = 256;
  /// 0xFFF5 repeated is a NaN as bf16, f16, f32 and f64, and not the NaN that the tensor starts as.
  static constexpr uint8_t fence_byte(int64_t i) noexcept { return i % 2 == 0 ? 0xf5 : 0xff; }

  int64_t inside_bytes_;
  Tensor all_;
  Tensor tensor_;
};

}  // namespace nanochat::test
