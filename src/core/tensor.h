/// A contiguous array of numbers: shared storage, an element type and a shape.
///
/// A Tensor is a handle: copying it shares the bytes, clone() copies them. There are no strides and
/// no broadcasting; a view is a reshape or a range of rows (of the first extent). `const Tensor&`
/// is an input, `Tensor&` an output.
#pragma once

#include <cstdint>
#include <span>

#include "core/dtype.h"
#include "core/shape.h"
#include "core/storage.h"

namespace nanochat {

class Tensor {
 public:
  Tensor() = default;
  /// Uninitialised.
  Tensor(Shape shape, DType dtype, Allocator& allocator = host_allocator())
      : storage_(allocator.allocate(shape.numel() * size_of(dtype))),
        shape_(shape),
        dtype_(dtype) {}
  /// Looks at `storage` from `offset_bytes` on.
  Tensor(StoragePtr storage, int64_t offset_bytes, Shape shape, DType dtype)
      : storage_(std::move(storage)), offset_bytes_(offset_bytes), shape_(shape), dtype_(dtype) {
    NC_CHECK(offset_bytes >= 0 && offset_bytes + size_bytes() <= storage_->size_bytes(),
             "view of {} bytes at {} of {}", size_bytes(), offset_bytes, storage_->size_bytes());
  }

  [[nodiscard]] bool defined() const noexcept { return static_cast<bool>(storage_); }
  explicit operator bool() const noexcept { return defined(); }
  [[nodiscard]] const Shape& shape() const noexcept { return shape_; }
  [[nodiscard]] int64_t dim(int i) const noexcept { return shape_.dim(i); }
  [[nodiscard]] int rank() const noexcept { return shape_.rank(); }
  [[nodiscard]] DType dtype() const noexcept { return dtype_; }
  [[nodiscard]] Device device() const noexcept { return storage_ ? storage_->device() : Device{}; }
  [[nodiscard]] int64_t numel() const noexcept { return shape_.numel(); }
  [[nodiscard]] int64_t size_bytes() const noexcept { return numel() * size_of(dtype_); }
  /// True when no other tensor shares the storage: the holder may reuse the bytes.
  [[nodiscard]] bool unique() const noexcept { return storage_.unique(); }
  [[nodiscard]] const StoragePtr& storage() const noexcept { return storage_; }

  [[nodiscard]] const void* raw() const noexcept { return begin(); }
  [[nodiscard]] void* raw() noexcept { return begin(); }
  template <typename T>
  [[nodiscard]] const T* data() const noexcept {
    NC_DCHECK(dtype_ == kDTypeOf<T>, "tensor holds {}", name_of(dtype_));
    return static_cast<const T*>(raw());
  }
  template <typename T>
  [[nodiscard]] T* data() noexcept {
    NC_DCHECK(dtype_ == kDTypeOf<T>, "tensor holds {}", name_of(dtype_));
    return static_cast<T*>(raw());
  }
  template <typename T>
  [[nodiscard]] std::span<const T> span() const noexcept {
    return {data<T>(), static_cast<size_t>(numel())};
  }
  template <typename T>
  [[nodiscard]] std::span<T> span() noexcept {
    return {data<T>(), static_cast<size_t>(numel())};
  }

  /// The same bytes under another shape of equal numel.
  [[nodiscard]] Tensor view(Shape shape) const;
  /// Rows [begin, end) of the first extent.
  [[nodiscard]] Tensor rows(int64_t begin, int64_t end) const;
  /// Elements [begin, begin + shape.numel()) under `shape`.
  [[nodiscard]] Tensor slice(int64_t begin, Shape shape) const;
  /// A deep copy of a host tensor.
  [[nodiscard]] Tensor clone(Allocator& allocator = host_allocator()) const;

 private:
  [[nodiscard]] void* begin() const noexcept {
    return storage_ ? static_cast<char*>(storage_->data()) + offset_bytes_ : nullptr;
  }

  StoragePtr storage_;
  int64_t offset_bytes_ = 0;
  Shape shape_;
  DType dtype_ = DType::kF32;
};

/// A host tensor of zeros.
[[nodiscard]] Tensor zeros(Shape shape, DType dtype, Allocator& allocator = host_allocator());

/// A host tensor holding a copy of `values`.
template <typename T>
[[nodiscard]] Tensor tensor_of(std::span<const T> values, Shape shape) {
  NC_CHECK(static_cast<int64_t>(values.size()) == shape.numel(), "{} values for {}", values.size(),
           shape);
  Tensor t(shape, kDTypeOf<T>);
  std::copy(values.begin(), values.end(), t.data<T>());
  return t;
}

}  // namespace nanochat
