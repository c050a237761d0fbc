/// Scratch memory that survives calls, so that a kernel in its second step allocates nothing.
#pragma once

#include <algorithm>
#include <cstdint>

#include "core/tensor.h"

namespace nanochat::cpu {

/// One growable block, 64-byte aligned; growing loses the contents. Not thread-safe: a kernel
/// reserves before it goes parallel and cuts the block into one part per thread.
class Workspace {
 public:
  /// At least size_bytes, valid until the next call. Throws OutOfMemoryError.
  [[nodiscard]] void* reserve(int64_t size_bytes) {
    if (!storage_ || storage_->size_bytes() < size_bytes) {
      storage_ = {};  // give the old block back first
      storage_ = host_allocator().allocate(size_bytes);
    }
    return storage_->data();
  }
  [[nodiscard]] int64_t size_bytes() const noexcept {
    return storage_ ? storage_->size_bytes() : 0;
  }

 private:
  StoragePtr storage_;
};

}  // namespace nanochat::cpu
