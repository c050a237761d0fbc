#include "core/tensor.h"

#include <cstring>

namespace nanochat {

Tensor Tensor::view(Shape shape) const {
  NC_CHECK(shape.numel() == numel(), "view of {} as {}", shape_, shape);
  return slice(0, shape);
}

Tensor Tensor::rows(int64_t begin, int64_t end) const {
  NC_CHECK(rank() > 0 && 0 <= begin && begin <= end && end <= dim(0), "rows {}..{} of {}", begin,
           end, shape_);
  std::array<int64_t, Shape::kMaxRank> dims{};
  std::copy(shape_.dims().begin(), shape_.dims().end(), dims.begin());
  const int64_t row_numel = dim(0) == 0 ? 0 : numel() / dim(0);
  dims[0] = end - begin;
  return slice(begin * row_numel, Shape(std::span(dims.data(), static_cast<size_t>(rank()))));
}

Tensor Tensor::slice(int64_t begin, Shape shape) const {
  NC_CHECK(begin >= 0 && begin + shape.numel() <= numel(), "slice {} at {} of {}", shape, begin,
           shape_);
  return {storage_, offset_bytes_ + begin * size_of(dtype_), shape, dtype_};
}

Tensor Tensor::clone(Allocator& allocator) const {
  Tensor copy(shape_, dtype_, allocator);
  if (numel() > 0) std::memcpy(copy.raw(), raw(), static_cast<size_t>(size_bytes()));
  return copy;
}

Tensor zeros(Shape shape, DType dtype, Allocator& allocator) {
  Tensor t(shape, dtype, allocator);
  if (t.numel() > 0) std::memset(t.raw(), 0, static_cast<size_t>(t.size_bytes()));
  return t;
}

}  // namespace nanochat
