/// Weights of a linear layer, laid out to be read once and in order.
///
/// Decoding multiplies a few rows of activations with all weights of the model, so it is as fast as
/// they come out of memory. Rows as they lie are a bad layout for that: one at a time leaves sums
/// over lanes to do, several at a time are several streams for the prefetcher, at half the speed.
/// A panel of 16 rows with neighbours along k next to each other is one stream and needs no sums
/// over lanes.
#pragma once

#include <cstdint>
#include <string_view>

#include "core/tensor.h"

namespace nanochat {

enum class WeightFormat : uint8_t {
  kF32,
  kBf16,
  kInt8,  ///< round(w / scale), one scale per output row: max |w| / 127
};
[[nodiscard]] std::string_view name_of(WeightFormat format) noexcept;
/// "f32", "bf16", "int8". Throws UsageError.
[[nodiscard]] WeightFormat parse_weight_format(std::string_view name);
/// Bytes of one weight.
[[nodiscard]] int64_t bytes_per_weight(WeightFormat format) noexcept;

inline constexpr int64_t kPanelRows = 16;

/// W [out, in] as ceil(out / 16) panels. Element (r, k) of a panel, K = in rounded up to even:
///   f32   float[K][16]          at [k][r]
///   bf16  uint16[K / 2][16][2]  at [k / 2][r][k % 2]
///   int8  int8[K][16]           at [k][r], times scales[row]
/// Rows from `out` on and a column K - 1 == in hold zeros.
struct PackedWeights {
  WeightFormat format = WeightFormat::kF32;
  int64_t out = 0, in = 0;
  Tensor data{};    ///< u8 [panels, bytes of a panel], 64-byte aligned
  Tensor scales{};  ///< f32 [panels * 16]; int8 only

  /// Zeros.
  [[nodiscard]] static PackedWeights zeros(WeightFormat format, int64_t out, int64_t in);
  /// Looks at memory that holds the layout above. Throws DataError when the sizes do not fit.
  PackedWeights(WeightFormat format, int64_t out, int64_t in, Tensor data, Tensor scales);
  PackedWeights() = default;

  [[nodiscard]] int64_t panels() const noexcept { return (out + kPanelRows - 1) / kPanelRows; }
  [[nodiscard]] int64_t padded_in() const noexcept { return (in + 1) / 2 * 2; }
  [[nodiscard]] int64_t panel_bytes() const noexcept {
    return padded_in() * kPanelRows * bytes_per_weight(format);
  }
  [[nodiscard]] int64_t size_bytes() const noexcept {
    return data.size_bytes() + (scales ? scales.size_bytes() : 0);
  }
  explicit operator bool() const noexcept { return data.defined(); }

  /// Rows [row_begin, row_begin + w.dim(0)) = w [n, in] f32 or bf16, rounded to nearest even. On
  /// all cores.
  void pack_rows(const Tensor& w, int64_t row_begin);
  /// What a product sees of weight (row, column).
  [[nodiscard]] float at(int64_t row, int64_t column) const noexcept;
};

}  // namespace nanochat
