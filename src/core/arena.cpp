#include "core/arena.h"

#include <algorithm>
#include <utility>

#include <sys/mman.h>
#include <unistd.h>

#include "core/error.h"

namespace nanochat {
namespace {

constexpr int64_t kGranule =
    256;  // four cache lines: no two blocks share one, adjacent-line prefetch
constexpr int64_t kCommitStep = 16 << 20;

int64_t round_up(int64_t x, int64_t to) { return (x + to - 1) / to * to; }

int64_t physical_bytes() {
  return static_cast<int64_t>(sysconf(_SC_PHYS_PAGES)) * sysconf(_SC_PAGESIZE);
}

class HostRange final : public AddressRange {
 public:
  HostRange() {
    step_bytes_ = kCommitStep;
    size_bytes_ = round_up(2 * physical_bytes(), kCommitStep);
    void* p = mmap(nullptr, static_cast<size_t>(size_bytes_), PROT_NONE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) {
      throw OutOfMemoryError("cannot reserve {} bytes of addresses: is there a ulimit -v?",
                             size_bytes_);
    }
    base_ = static_cast<char*>(p);
#ifdef MADV_HUGEPAGE
    madvise(base_, static_cast<size_t>(size_bytes_), MADV_HUGEPAGE);
#endif
  }
  ~HostRange() override { munmap(base_, static_cast<size_t>(size_bytes_)); }

  bool commit(int64_t begin, int64_t end) noexcept override {
    return mprotect(base_ + begin, static_cast<size_t>(end - begin), PROT_READ | PROT_WRITE) == 0;
  }
};

}  // namespace

std::unique_ptr<AddressRange> reserve_host_addresses() { return std::make_unique<HostRange>(); }

class Arena::Block final : public Storage {
 public:
  explicit Block(Arena& arena) : arena_(arena) { device_ = arena.range_->device(); }
  ~Block() override = default;
  void fill(char* data, int64_t size_bytes) noexcept {
    data_ = data;
    size_bytes_ = size_bytes;
  }

 private:
  void release() noexcept override { arena_.give_back(*this); }
  Arena& arena_;
};

Arena::Arena(int64_t limit_bytes) : Arena(reserve_host_addresses(), limit_bytes) {}

Arena::Arena(std::unique_ptr<AddressRange> range, int64_t limit_bytes)
    : range_(std::move(range)), limit_bytes_(limit_bytes > 0 ? limit_bytes : range_->size_bytes()) {
  gaps_.reserve(1024);
  gaps_.push_back({0, range_->size_bytes()});
}

Arena::~Arena() {
  NC_CHECK(idle_.size() == blocks_.size(), "{} tensors outlive their arena",
           blocks_.size() - idle_.size());
}

StoragePtr Arena::allocate(int64_t size_bytes) {
  NC_CHECK(size_bytes >= 0);
  const auto out_of_memory = [&] {
    return OutOfMemoryError(
        "{} bytes more do not fit beside the {} in use (limit {}): use a smaller "
        "--device-batch-size or --activation-checkpointing",
        size_bytes, in_use_bytes_, limit_bytes_);
  };
  if (size_bytes > limit_bytes_) throw out_of_memory();  // first: rounding up must not overflow
  const int64_t size = round_up(std::max<int64_t>(size_bytes, 1), kGranule);
  if (in_use_bytes_ + size > limit_bytes_) throw out_of_memory();
  const auto gap =
      std::find_if(gaps_.begin(), gaps_.end(), [&](const Gap& g) { return g.size >= size; });
  if (gap == gaps_.end()) throw out_of_memory();

  const int64_t begin = gap->begin;
  if (begin + size > committed_bytes_) {
    const int64_t target =
        std::min(round_up(begin + size, range_->step_bytes()), range_->size_bytes());
    if (!range_->commit(committed_bytes_, target)) throw out_of_memory();
    committed_bytes_ = target;
  }
  if (idle_.empty()) {
    blocks_.push_back(std::make_unique<Block>(*this));
    idle_.reserve(blocks_.capacity());  // so that give_back never allocates
    idle_.push_back(blocks_.back().get());
  }
  Block* block = idle_.back();
  idle_.pop_back();
  block->fill(range_->base() + begin, size_bytes);

  gap->begin += size;
  gap->size -= size;
  if (gap->size == 0) gaps_.erase(gap);
  // Each live block can split off at most one gap more.
  if (gaps_.capacity() < blocks_.size() + 2) gaps_.reserve(2 * blocks_.size() + 2);

  in_use_bytes_ += size;
  peak_bytes_ = std::max(peak_bytes_, in_use_bytes_);
  extent_bytes_ = std::max(extent_bytes_, begin + size);
  return StoragePtr(block);
}

void Arena::give_back(Block& block) noexcept {
  const int64_t begin = static_cast<char*>(block.data()) - range_->base();
  const int64_t size = round_up(std::max<int64_t>(block.size_bytes(), 1), kGranule);
  in_use_bytes_ -= size;
  auto next = std::lower_bound(gaps_.begin(), gaps_.end(), begin,
                               [](const Gap& g, int64_t b) { return g.begin < b; });
  const bool joins_next = next != gaps_.end() && begin + size == next->begin;
  const bool joins_previous =
      next != gaps_.begin() && std::prev(next)->begin + std::prev(next)->size == begin;
  if (joins_previous && joins_next) {
    std::prev(next)->size += size + next->size;
    gaps_.erase(next);
  } else if (joins_previous) {
    std::prev(next)->size += size;
  } else if (joins_next) {
    next->begin = begin;
    next->size += size;
  } else {
    gaps_.insert(next, {begin, size});
  }
  block.fill(nullptr, 0);
  idle_.push_back(&block);
}

}  // namespace nanochat
