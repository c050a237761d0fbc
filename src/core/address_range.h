/// Addresses that an arena hands out before there is memory behind them.
#pragma once

#include <cstdint>

#include "core/storage.h"

namespace nanochat {

/// One range of reserved addresses of one device. Memory is put behind it from the beginning on, in
/// steps, and stays there.
class AddressRange {
 public:
  virtual ~AddressRange() = default;
  AddressRange(const AddressRange&) = delete;
  AddressRange& operator=(const AddressRange&) = delete;

  /// A multiple of 256.
  [[nodiscard]] char* base() const noexcept { return base_; }
  /// A multiple of step_bytes().
  [[nodiscard]] int64_t size_bytes() const noexcept { return size_bytes_; }
  [[nodiscard]] int64_t step_bytes() const noexcept { return step_bytes_; }
  [[nodiscard]] Device device() const noexcept { return device_; }

  /// Puts memory behind [begin, end), multiples of step_bytes(). False when there is none.
  [[nodiscard]] virtual bool commit(int64_t begin, int64_t end) noexcept = 0;

 protected:
  AddressRange() = default;
  char* base_ = nullptr;
  int64_t size_bytes_ = 0;
  int64_t step_bytes_ = 0;
  Device device_;
};

}  // namespace nanochat
