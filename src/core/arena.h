/// The memory of a training step: blocks come and go with the tensors that hold them, the same way
/// in every step, so that from the second step on nothing is asked of the system.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "core/address_range.h"
#include "core/storage.h"

namespace nanochat {

/// An arena over one reserved range of addresses. allocate() takes the lowest gap that fits and, if
/// there is none, moves the high-water mark; a block returns when its last tensor dies, and joins
/// its neighbours. First fit depends on the order of calls alone, and a step makes the same calls
/// as the step before, so every step lays its blocks out alike and the mark stands still after the
/// first.
///
/// Backward frees an activation as soon as it has used it, which a plain bump-and-reset arena could
/// not: its peak is then what backward must keep, plus one layer's temporaries.
///
/// Not thread-safe: one thread allocates; any thread may read and write the blocks. The arena must
/// outlive its tensors (checked).
class Arena final : public Allocator {
 public:
  /// Over host memory: reserves addresses, pages are taken as the mark passes them. `limit_bytes`:
  /// the most that may be in use; 0 = the reservation. Throws OutOfMemoryError.
  explicit Arena(int64_t limit_bytes = 0);
  /// The same over a device's memory (Backend::reserve_addresses).
  explicit Arena(std::unique_ptr<AddressRange> range, int64_t limit_bytes = 0);
  ~Arena() override;
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  /// 64-byte aligned at least; zero bytes are a valid (empty) block. Throws OutOfMemoryError.
  [[nodiscard]] StoragePtr allocate(int64_t size_bytes) override;

  [[nodiscard]] int64_t in_use_bytes() const noexcept { return in_use_bytes_; }
  /// The most bytes in use at once since construction or reset_peak().
  [[nodiscard]] int64_t peak_bytes() const noexcept { return peak_bytes_; }
  void reset_peak() noexcept { peak_bytes_ = in_use_bytes_; }
  /// The high-water mark: addresses ever handed out, gaps included. This is what the process pays.
  [[nodiscard]] int64_t extent_bytes() const noexcept { return extent_bytes_; }

 private:
  class Block;
  struct Gap {
    int64_t begin, size;
  };
  void give_back(Block& block) noexcept;

  std::unique_ptr<AddressRange> range_;
  int64_t limit_bytes_ = 0;
  int64_t committed_bytes_ = 0;
  int64_t extent_bytes_ = 0;
  int64_t in_use_bytes_ = 0;
  int64_t peak_bytes_ = 0;
  std::vector<Gap> gaps_;                       // by address, never touching one another
  std::vector<std::unique_ptr<Block>> blocks_;  // every Block ever made
  std::vector<Block*> idle_;                    // those that hold no memory now
};

/// A range of host addresses, twice as large as the machine's memory. Throws OutOfMemoryError.
[[nodiscard]] std::unique_ptr<AddressRange> reserve_host_addresses();

}  // namespace nanochat
