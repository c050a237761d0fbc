/// Token runs as kernels see them, copied once per batch and not once per layer.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "ops/cuda/kernels/launch.h"
#include "ops/cuda/memory.h"
#include "ops/token_runs.h"

namespace nanochat::cuda {

/// What lies on the device for one TokenRuns.
struct RunTable {
  const DeviceRun* runs = nullptr;
  const int32_t* run_of_row = nullptr;
  int64_t n_runs = 0;

  /// Tiles of `rows` rows (64 or 128) of all runs, those with most rows before them first: they
  /// take longest when every row sees all before it.
  struct Tiles {
    const AttentionTile* tiles = nullptr;
    int64_t n = 0;
  };
  Tiles tiles_64{}, tiles_128{};
  [[nodiscard]] const Tiles& tiles(int rows) const { return rows == 64 ? tiles_64 : tiles_128; }
};

/// Remembers the runs of the last few batches by their content: TokenRuns are refilled in place.
class RunTables {
 public:
  RunTables(int device, cudaStream_t stream, Uploader& uploader)
      : stream_(stream), uploader_(uploader), entries_(make_entries(device)) {}

  /// Valid until kEntries other batches have been asked for. Throws OutOfMemoryError.
  [[nodiscard]] const RunTable& of(const TokenRuns& runs);
  [[nodiscard]] int64_t size_bytes() const noexcept;

 private:
  static constexpr size_t kEntries = 4;
  struct Entry {
    explicit Entry(int device) : memory(device) {}
    std::vector<Run> runs;
    uint64_t last_used = 0;
    Workspace memory;
    RunTable table;
  };
  using Entries = std::array<Entry, kEntries>;
  static Entries make_entries(int device);
  void fill(Entry& entry, const TokenRuns& runs);

  cudaStream_t stream_;
  Uploader& uploader_;
  Entries entries_;
  uint64_t clock_ = 0;
  std::vector<char> staging_;
  std::vector<AttentionTile> tiles_64_, tiles_128_;
};

}  // namespace nanochat::cuda
