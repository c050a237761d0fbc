#include "core/parallel.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace nanochat {
namespace {

using Ranges = std::vector<std::pair<int64_t, int64_t>>;

Ranges ranges_of(int64_t n, int64_t grain) {
  std::mutex mutex;
  Ranges ranges;
  parallel_for(n, grain, [&](int64_t begin, int64_t end) {
    const std::lock_guard lock(mutex);
    ranges.emplace_back(begin, end);
  });
  std::sort(ranges.begin(), ranges.end());
  return ranges;
}

class ParallelTest : public ::testing::TestWithParam<int> {
 protected:
  void SetUp() override { set_num_threads(GetParam()); }
  void TearDown() override { set_num_threads(threads_before_); }

 private:
  int threads_before_ = num_threads();
};
INSTANTIATE_TEST_SUITE_P(Threads, ParallelTest, ::testing::Values(1, 2, 3, 8));

TEST_P(ParallelTest, CoversTheRangeExactlyOnceInRangesCutAtTheGrain) {
  for (const int64_t n : {0, 1, 2, 7, 16, 17, 1000, 1001}) {
    for (const int64_t grain : {0, 1, 3, 16, 1000, 5000}) {
      SCOPED_TRACE(fmt::format("n={} grain={}", n, grain));
      const Ranges ranges = ranges_of(n, grain);
      EXPECT_LE(ranges.size(), static_cast<size_t>(num_threads()));
      int64_t covered = 0;
      for (const auto& [begin, end] : ranges) {
        EXPECT_EQ(begin, covered);
        EXPECT_LT(begin, end);
        EXPECT_EQ(begin % std::max<int64_t>(grain, 1), 0);
        covered = end;
      }
      EXPECT_EQ(covered, n);
    }
  }
}

TEST_P(ParallelTest, CutsTheSameWayEveryTime) {
  const Ranges first = ranges_of(12345, 16);
  for (int i = 0; i < 50; ++i) ASSERT_EQ(ranges_of(12345, 16), first);
}

TEST_P(ParallelTest, UsesAsManyThreadsAsThereAreGrains) {
  const auto threads = static_cast<size_t>(GetParam());
  EXPECT_EQ(ranges_of(1000, 1).size(), threads);
  EXPECT_EQ(ranges_of(32, 16).size(), std::min<size_t>(threads, 2));
}

TEST_P(ParallelTest, RunsSeriallyInsideAnother) {
  const int64_t outer = 8;
  std::vector<int> inner_calls(outer, 0), wrong_thread(outer, 0);
  parallel_for(outer, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const auto self = std::this_thread::get_id();
      const auto slot = static_cast<size_t>(i);
      // With one thread there is no outer region to be inside of, and one range all the same.
      parallel_for(100, 1, [&, slot](int64_t b, int64_t e) {
        inner_calls[slot] += b == 0 && e == 100;
        wrong_thread[slot] += std::this_thread::get_id() != self;
      });
    }
  });
  EXPECT_EQ(inner_calls, std::vector<int>(outer, 1));
  EXPECT_EQ(wrong_thread, std::vector<int>(outer, 0));
}

TEST_P(ParallelTest, ItemsAreEachDoneOnce) {
  for (const int64_t n : {0, 1, 2, 5, 1000}) {
    SCOPED_TRACE(n);
    std::vector<std::atomic<int>> done(static_cast<size_t>(n));
    std::atomic<int> bad_thread{0};
    parallel_items(n, [&](int64_t item, int thread) {
      ++done[static_cast<size_t>(item)];
      bad_thread += thread < 0 || thread >= num_threads();
    });
    for (const auto& d : done) EXPECT_EQ(d, 1);
    EXPECT_EQ(bad_thread, 0);
  }
}

TEST_P(ParallelTest, TwoItemsAtOnceNeverShareAThreadNumber) {
  std::vector<std::atomic<int>> busy(static_cast<size_t>(GetParam()));
  std::atomic<int> shared{0};
  parallel_items(2000, [&](int64_t, int thread) {
    std::atomic<int>& mine = busy[static_cast<size_t>(thread)];
    shared += mine.fetch_add(1) != 0;
    mine.fetch_sub(1);
  });
  EXPECT_EQ(shared, 0);
}

TEST_P(ParallelTest, ItemsInsideAParallelForRunSerially) {
  std::atomic<int> total{0}, other_thread{0};
  parallel_for(4, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const auto self = std::this_thread::get_id();
      parallel_items(10, [&](int64_t, int) {
        ++total;
        other_thread += std::this_thread::get_id() != self;
      });
    }
  });
  EXPECT_EQ(total, 40);
  // With one thread the outer loop opens no parallel region, and neither does the inner one.
  EXPECT_EQ(other_thread, 0);
}

TEST(NumThreads, IsWhatWasSetAndAtLeastOne) {
  const int before = num_threads();
  EXPECT_GE(before, 1);
  set_num_threads(3);
  EXPECT_EQ(num_threads(), 3);
  set_num_threads(0);
  EXPECT_EQ(num_threads(), 1);
  set_num_threads(before);
}

}  // namespace
}  // namespace nanochat
