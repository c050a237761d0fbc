#include "core/arena.h"

#include <algorithm>
#include <map>
#include <random>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "core/error.h"
#include "core/tensor.h"

namespace nanochat {
namespace {

constexpr int64_t kMiB = 1 << 20;

const char* address(const StoragePtr& p) { return static_cast<const char*>(p->data()); }

TEST(Arena, HandsOutAlignedWritableBlocks) {
  Arena arena;
  std::vector<StoragePtr> blocks;
  for (const int64_t size : {0, 1, 64, 255, 256, 257, 1000, 3 << 20}) {
    blocks.push_back(arena.allocate(size));
    EXPECT_EQ(blocks.back()->size_bytes(), size);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(blocks.back()->data()) % 64, 0U);
    std::memset(blocks.back()->data(), 1, static_cast<size_t>(size));
  }
  for (size_t i = 1; i < blocks.size(); ++i) {
    EXPECT_GT(address(blocks[i]), address(blocks[i - 1])) << "even empty blocks are distinct";
  }
}

TEST(Arena, GivesTheLowestGapThatFits) {
  Arena arena;
  StoragePtr a = arena.allocate(1024);
  StoragePtr b = arena.allocate(512);
  StoragePtr c = arena.allocate(2048);
  const StoragePtr end = arena.allocate(256);
  const char* const at_a = address(a);
  const char* const at_c = address(c);
  a = {};
  c = {};
  const StoragePtr large = arena.allocate(2048);  // a's gap is too small
  EXPECT_EQ(address(large), at_c);
  const StoragePtr small = arena.allocate(256);
  EXPECT_EQ(address(small), at_a);
  const StoragePtr next = arena.allocate(768);
  EXPECT_EQ(address(next), at_a + 256);
}

TEST(Arena, JoinsAFreedBlockWithBothNeighbours) {
  // Free the three blocks in each order; the whole must then be one gap again.
  std::vector<int> order{0, 1, 2};
  do {
    SCOPED_TRACE(fmt::format("{}{}{}", order[0], order[1], order[2]));
    Arena arena;
    const StoragePtr before = arena.allocate(256);
    std::vector<StoragePtr> three;
    for (int i = 0; i < 3; ++i) three.push_back(arena.allocate(512));
    const StoragePtr after = arena.allocate(256);
    const char* const begin = address(three[0]);
    const int64_t extent = arena.extent_bytes();
    for (const int i : order) three[static_cast<size_t>(i)] = {};
    const StoragePtr whole = arena.allocate(1536);
    EXPECT_EQ(address(whole), begin);
    EXPECT_EQ(arena.extent_bytes(), extent);
  } while (std::next_permutation(order.begin(), order.end()));
}

TEST(Arena, CountsWhatIsInUseAndItsPeak) {
  Arena arena;
  EXPECT_EQ(arena.in_use_bytes(), 0);
  StoragePtr a = arena.allocate(1000);  // 1024 with its padding
  EXPECT_EQ(arena.in_use_bytes(), 1024);
  {
    const StoragePtr b = arena.allocate(4096);
    EXPECT_EQ(arena.in_use_bytes(), 5120);
  }
  EXPECT_EQ(arena.in_use_bytes(), 1024);
  EXPECT_EQ(arena.peak_bytes(), 5120);
  EXPECT_EQ(arena.extent_bytes(), 5120);
  arena.reset_peak();
  EXPECT_EQ(arena.peak_bytes(), 1024);
  a = {};
  EXPECT_EQ(arena.in_use_bytes(), 0);
  EXPECT_EQ(arena.extent_bytes(), 5120);
}

/// A made-up training step: activations that live until backward, temporaries that do not.
std::vector<const char*> run_step(Arena& arena) {
  std::vector<const char*> layout;
  const auto allocate = [&](int64_t size) {
    Tensor t({size}, DType::kU8, arena);
    layout.push_back(static_cast<const char*>(t.raw()));
    return t;
  };
  std::vector<Tensor> kept;
  for (int64_t layer = 0; layer < 12; ++layer) {
    const Tensor temporary = allocate(50'000 + 100 * layer);
    kept.push_back(allocate(10'000 * (1 + layer % 3)));
    const Tensor second = allocate(70'000);
    kept.push_back(allocate(333));
  }
  while (!kept.empty()) {
    const Tensor gradient = allocate(20'000);
    const Tensor another = allocate(60'000);
    kept.pop_back();
  }
  return layout;
}

TEST(Arena, LaysOutEveryStepAlikeAndStopsGrowing) {
  Arena arena;
  const auto first = run_step(arena);
  const int64_t extent = arena.extent_bytes();
  for (int step = 1; step < 20; ++step) {
    ASSERT_EQ(run_step(arena), first) << step;
    ASSERT_EQ(arena.extent_bytes(), extent) << step;
    ASSERT_EQ(arena.in_use_bytes(), 0);
  }
}

TEST(Arena, KeepsBlocksApartUnderRandomUse) {
  constexpr unsigned kSeed = 20;
  std::mt19937 random(kSeed);
  SCOPED_TRACE(fmt::format("seed {}", kSeed));
  struct Live {
    StoragePtr storage;
    uint8_t pattern;
  };
  Arena arena;
  std::vector<Live> live;
  std::map<const char*, int64_t> shadow;  // begin -> size of every live block
  int64_t in_use = 0, peak = 0;
  const auto padded = [](int64_t size) { return (std::max<int64_t>(size, 1) + 255) / 256 * 256; };
  const auto expect_intact = [](const Live& block) {
    const auto* p = static_cast<const uint8_t*>(block.storage->data());
    ASSERT_TRUE(std::all_of(p, p + block.storage->size_bytes(), [&](uint8_t byte) {
      return byte == block.pattern;
    })) << "someone else wrote into a live block";
  };
  for (int i = 0; i < 20'000; ++i) {
    if (live.size() < 5 || (live.size() < 200 && random() % 2 == 0)) {
      const int64_t size = random() % 8 == 0 ? random() % 40'000 : random() % 700;
      const auto pattern = static_cast<uint8_t>(random());
      live.push_back({arena.allocate(size), pattern});
      const char* const begin = address(live.back().storage);
      std::memset(live.back().storage->data(), pattern, static_cast<size_t>(size));
      const auto next = shadow.lower_bound(begin);
      ASSERT_TRUE(next == shadow.end() || begin + size <= next->first) << i;
      ASSERT_TRUE(next == shadow.begin() ||
                  std::prev(next)->first + std::prev(next)->second <= begin)
          << i;
      shadow[begin] = size;
      in_use += padded(size);
    } else {
      const size_t victim = random() % live.size();
      expect_intact(live[victim]);
      shadow.erase(address(live[victim].storage));
      in_use -= padded(live[victim].storage->size_bytes());
      std::swap(live[victim], live.back());
      live.pop_back();
    }
    peak = std::max(peak, in_use);
    ASSERT_EQ(arena.in_use_bytes(), in_use) << i;
  }
  EXPECT_EQ(arena.peak_bytes(), peak);
  for (const Live& block : live) expect_intact(block);
  live.clear();
  // All gaps have joined: one block of everything fits below the mark.
  const int64_t extent = arena.extent_bytes();
  const StoragePtr whole = arena.allocate(extent);
  EXPECT_EQ(arena.extent_bytes(), extent);
}

TEST(Arena, RefusesWhatIsAboveItsLimitAndGoesOn) {
  Arena arena(kMiB);
  const StoragePtr half = arena.allocate(kMiB / 2);
  try {
    static_cast<void>(arena.allocate(kMiB / 2 + 1));
    FAIL() << "more than the limit was given";
  } catch (const OutOfMemoryError& e) {
    EXPECT_NE(std::string(e.what()).find("524289"), std::string::npos) << e.what();
    EXPECT_NE(std::string(e.what()).find("--device-batch-size"), std::string::npos) << e.what();
  }
  EXPECT_EQ(arena.in_use_bytes(), kMiB / 2);
  const StoragePtr rest = arena.allocate(kMiB / 2);
  EXPECT_THROW(static_cast<void>(arena.allocate(0)), OutOfMemoryError);
}

TEST(Arena, RefusesSizesNearTheEndOfTheIntegers) {
  Arena arena;
  const StoragePtr some = arena.allocate(1024);
  for (const int64_t size : {int64_t{1} << 50, int64_t{1} << 62, INT64_MAX - 300, INT64_MAX}) {
    EXPECT_THROW(static_cast<void>(arena.allocate(size)), OutOfMemoryError) << size;
  }
  EXPECT_EQ(arena.in_use_bytes(), 1024);
}

TEST(ArenaDeathTest, AbortsWhenTensorsOutliveIt) {
  EXPECT_DEATH(
      {
        auto arena = std::make_unique<Arena>();
        const Tensor t({8}, DType::kF32, *arena);
        arena.reset();
      },
      "1 tensors outlive their arena");
}

}  // namespace
}  // namespace nanochat
