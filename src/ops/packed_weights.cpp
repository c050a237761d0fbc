#include "ops/packed_weights.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/error.h"
#include "core/parallel.h"

namespace nanochat {
namespace {

float widened(const Tensor& w, int64_t i) {
  return w.dtype() == DType::kBf16 ? static_cast<float>(w.data<Bf16>()[i]) : w.data<float>()[i];
}

/// Index of (row, k) within its panel, in elements.
int64_t index_of(WeightFormat format, int64_t row, int64_t k) {
  const int64_t r = row % kPanelRows;
  return format == WeightFormat::kBf16 ? (k / 2 * kPanelRows + r) * 2 + k % 2 : k * kPanelRows + r;
}

}  // namespace

std::string_view name_of(WeightFormat format) noexcept {
  switch (format) {
    case WeightFormat::kF32:
      return "f32";
    case WeightFormat::kBf16:
      return "bf16";
    case WeightFormat::kInt8:
      return "int8";
  }
  return "?";
}

WeightFormat parse_weight_format(std::string_view name) {
  for (const auto format : {WeightFormat::kF32, WeightFormat::kBf16, WeightFormat::kInt8}) {
    if (name == name_of(format)) return format;
  }
  throw UsageError("weights '{}': expected f32, bf16 or int8", name);
}

int64_t bytes_per_weight(WeightFormat format) noexcept {
  return format == WeightFormat::kF32 ? 4 : format == WeightFormat::kBf16 ? 2 : 1;
}

PackedWeights PackedWeights::zeros(WeightFormat format, int64_t out, int64_t in) {
  PackedWeights w;
  w.format = format;
  w.out = out;
  w.in = in;
  w.data = nanochat::zeros({w.panels(), w.panel_bytes()}, DType::kU8);
  if (format == WeightFormat::kInt8) {
    w.scales = nanochat::zeros({w.panels() * kPanelRows}, DType::kF32);
  }
  return w;
}

PackedWeights::PackedWeights(WeightFormat format_, int64_t out_, int64_t in_, Tensor data_,
                             Tensor scales_)
    : format(format_), out(out_), in(in_), data(std::move(data_)), scales(std::move(scales_)) {
  const bool has_scales = format == WeightFormat::kInt8;
  if (!data || data.dtype() != DType::kU8 || data.shape() != Shape{panels(), panel_bytes()} ||
      has_scales != scales.defined() ||
      (has_scales &&
       (scales.dtype() != DType::kF32 || scales.shape() != Shape{panels() * kPanelRows}))) {
    throw DataError("packed weights {} [{}, {}] do not have the size of it: {}", name_of(format),
                    out, in, data.shape());
  }
}

void PackedWeights::pack_rows(const Tensor& w, int64_t row_begin) {
  NC_CHECK(w.rank() == 2 && w.dim(1) == in && row_begin >= 0 && row_begin + w.dim(0) <= out,
           "{} into rows {}.. of [{}, {}]", w.shape(), row_begin, out, in);
  char* const bytes = static_cast<char*>(data.raw());
  const int64_t row_end = row_begin + w.dim(0);
  const int64_t first_panel = row_begin / kPanelRows;
  const int64_t n_panels = (row_end + kPanelRows - 1) / kPanelRows - first_panel;
  // Panels are written by one thread each; within one, a few columns of all rows at a time stay in
  // L1 on both sides.
  parallel_for(n_panels, 1, [&](int64_t begin, int64_t end) {
    for (int64_t panel = first_panel + begin; panel < first_panel + end; ++panel) {
      char* const to = bytes + panel * panel_bytes();
      const int64_t from_row = std::max(row_begin, panel * kPanelRows);
      const int64_t to_row = std::min(row_end, (panel + 1) * kPanelRows);
      float inverse[kPanelRows] = {};
      if (format == WeightFormat::kInt8) {
        for (int64_t row = from_row; row < to_row; ++row) {
          float largest = 0;
          for (int64_t k = 0; k < in; ++k) {
            largest = std::max(largest, std::abs(widened(w, (row - row_begin) * in + k)));
          }
          scales.data<float>()[row] = largest / 127.0F;
          inverse[row % kPanelRows] = largest > 0 ? 127.0F / largest : 0.0F;
        }
      }
      constexpr int64_t kColumns = 64;
      for (int64_t k_begin = 0; k_begin < in; k_begin += kColumns) {
        const int64_t k_end = std::min(in, k_begin + kColumns);
        for (int64_t row = from_row; row < to_row; ++row) {
          const int64_t at = (row - row_begin) * in;
          for (int64_t k = k_begin; k < k_end; ++k) {
            const float x = widened(w, at + k);
            const int64_t i = index_of(format, row, k);
            switch (format) {
              case WeightFormat::kF32:
                reinterpret_cast<float*>(to)[i] = x;
                break;
              case WeightFormat::kBf16:
                reinterpret_cast<Bf16*>(to)[i] = Bf16(x);
                break;
              case WeightFormat::kInt8:
                reinterpret_cast<int8_t*>(to)[i] =
                    static_cast<int8_t>(std::lrint(x * inverse[row % kPanelRows]));
                break;
            }
          }
        }
      }
    }
  });
}

float PackedWeights::at(int64_t row, int64_t column) const noexcept {
  const char* const panel = static_cast<const char*>(data.raw()) + row / kPanelRows * panel_bytes();
  const int64_t i = index_of(format, row, column);
  switch (format) {
    case WeightFormat::kF32:
      return reinterpret_cast<const float*>(panel)[i];
    case WeightFormat::kBf16:
      return static_cast<float>(reinterpret_cast<const Bf16*>(panel)[i]);
    case WeightFormat::kInt8:
      return static_cast<float>(reinterpret_cast<const int8_t*>(panel)[i]) *
             scales.data<float>()[row];
  }
  return 0;
}

}  // namespace nanochat
