#include "ops/cuda/run_tables.h"

#include <algorithm>
#include <cstring>
#include <functional>
#include <span>

namespace nanochat::cuda {
namespace {

static_assert(sizeof(Run) == sizeof(DeviceRun));

constexpr int64_t kAlignment = 256;
int64_t aligned(int64_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

void make_tiles(std::span<const Run> runs, int rows, std::vector<AttentionTile>& tiles) {
  tiles.clear();
  for (const Run& run : runs) {
    for (int32_t begin = 0; begin < run.length; begin += rows) {
      tiles.push_back({.run_begin = run.row_begin, .run_length = run.length, .begin = begin});
    }
  }
  std::ranges::stable_sort(tiles, std::ranges::greater(), &AttentionTile::begin);
}

bool same(std::span<const Run> a, std::span<const Run> b) {
  return a.size() == b.size() &&
         (a.empty() || std::memcmp(a.data(), b.data(), a.size_bytes()) == 0);
}

}  // namespace

RunTables::Entries RunTables::make_entries(int device) {
  return {Entry(device), Entry(device), Entry(device), Entry(device)};
}

const RunTable& RunTables::of(const TokenRuns& runs) {
  Entry* oldest = &entries_[0];
  for (Entry& e : entries_) {
    if (e.last_used > 0 && same(e.runs, runs.runs())) {
      e.last_used = ++clock_;
      return e.table;
    }
    if (e.last_used < oldest->last_used) oldest = &e;
  }
  oldest->last_used = 0;  // should filling throw
  fill(*oldest, runs);
  oldest->last_used = ++clock_;
  return oldest->table;
}

void RunTables::fill(Entry& entry, const TokenRuns& runs) {
  make_tiles(runs.runs(), 64, tiles_64_);
  make_tiles(runs.runs(), 128, tiles_128_);
  const auto bytes_of = [](const auto& list) {
    return static_cast<int64_t>(list.size() * sizeof(*list.data()));
  };
  const int64_t at_64 = aligned(bytes_of(runs.runs()));
  const int64_t at_128 = at_64 + aligned(bytes_of(tiles_64_));
  const int64_t at_rows = at_128 + aligned(bytes_of(tiles_128_));  // filled on the device
  staging_.resize(static_cast<size_t>(at_rows));
  const auto put = [this](int64_t at, const auto& list) {
    if (!list.empty())
      std::memcpy(staging_.data() + at, list.data(), list.size() * sizeof(*list.data()));
  };
  put(0, runs.runs());
  put(at_64, tiles_64_);
  put(at_128, tiles_128_);

  auto* const memory = static_cast<char*>(
      entry.memory.get(at_rows + runs.n_tokens() * static_cast<int64_t>(sizeof(int32_t))));
  uploader_.upload(staging_.data(), memory, at_rows);
  auto* const rows = reinterpret_cast<int32_t*>(memory + at_rows);
  entry.runs.assign(runs.runs().begin(), runs.runs().end());
  entry.table = {.runs = reinterpret_cast<const DeviceRun*>(memory),
                 .run_of_row = rows,
                 .n_runs = runs.size(),
                 .tiles_64 = {reinterpret_cast<const AttentionTile*>(memory + at_64),
                              static_cast<int64_t>(tiles_64_.size())},
                 .tiles_128 = {reinterpret_cast<const AttentionTile*>(memory + at_128),
                               static_cast<int64_t>(tiles_128_.size())}};
  launch_run_of_row(stream_, entry.table.runs, entry.table.n_runs, rows);
}

int64_t RunTables::size_bytes() const noexcept {
  int64_t bytes = 0;
  for (const Entry& e : entries_) bytes += e.memory.size_bytes();
  return bytes;
}

}  // namespace nanochat::cuda
