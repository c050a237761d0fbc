#include "core/progress.h"

#include <chrono>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "support/console_capture.h"

namespace nanochat {
namespace {

using namespace std::chrono_literals;
using test::CapturedConsole;
using test::seen_on_terminal;

/// A clock that moves when told to.
struct ManualClock {
  Progress::Clock::time_point now{std::chrono::hours(1)};
  void advance(Progress::Clock::duration d) { now += d; }
};

class ProgressTest : public ::testing::Test {
 protected:
  Progress::Options options(CapturedConsole& console) {
    return {.label = "train", .unit = "steps", .total = 1000, .console = &console, .now = [this] {
              return clock_.now;
            }};
  }
  [[nodiscard]] std::string seen() const { return seen_on_terminal(terminal_.text()); }

  ManualClock clock_;
  CapturedConsole terminal_{{.is_terminal = true, .colour = false}};
  CapturedConsole pipe_{{}};
};

TEST_F(ProgressTest, ShowsDoneTotalRateEtaAndSuffix) {
  Progress progress(options(terminal_));
  progress.update(0);
  EXPECT_EQ(seen(), "train 0/1000 (0%)");
  clock_.advance(10s);
  progress.update(50, "loss 3.21");
  EXPECT_EQ(seen(), "train 50/1000 (5%)  5 steps/s  ETA 3:10  loss 3.21");
  clock_.advance(10s);
  progress.update(100);
  EXPECT_EQ(seen(), "train 100/1000 (10%)  5 steps/s  ETA 3:00  loss 3.21");
  clock_.advance(180s);
  progress.update(1000);
  EXPECT_EQ(seen(), "train 1000/1000 (100%)  5 steps/s  loss 3.21");
}

TEST_F(ProgressTest, ErasesItselfAtTheEnd) {
  {
    Progress progress(options(terminal_));
    progress.update(10);
    EXPECT_NE(seen(), "");
  }
  EXPECT_EQ(seen(), "");
  Progress again(options(terminal_));
  again.update(10);
  again.finish();
  again.update(20);
  EXPECT_EQ(seen(), "");
}

TEST_F(ProgressTest, RedrawsAtMostTenTimesASecond) {
  Progress progress(options(terminal_));
  std::string last;
  int drawn = 0;
  for (int64_t i = 0; i < 2000; ++i) {  // two seconds of work, a millisecond each
    progress.update(i / 2);
    drawn += seen() != last;
    last = seen();
    clock_.advance(1ms);
  }
  EXPECT_GE(drawn, 19);
  EXPECT_LE(drawn, 21);
}

TEST_F(ProgressTest, DoesNotCountWhatAnEarlierProcessDid) {
  Progress::Options resumed = options(terminal_);
  resumed.start = 900;
  Progress progress(resumed);
  clock_.advance(10s);
  progress.update(950);
  EXPECT_DOUBLE_EQ(progress.rate(), 5);
  EXPECT_EQ(seen(), "train 950/1000 (95%)  5 steps/s  ETA 0:10");
}

TEST_F(ProgressTest, FollowsAChangeOfPaceWithinAMinute) {
  Progress progress(options(terminal_));
  int64_t done = 0;
  for (int s = 0; s < 100; ++s) {
    clock_.advance(1s);
    progress.update(++done);
  }
  EXPECT_NEAR(progress.rate(), 1, 1e-9);
  for (int s = 0; s < 60; ++s) {
    clock_.advance(1s);
    progress.update(done += 10);
    EXPECT_LT(progress.rate(), 10);
  }
  EXPECT_GT(progress.rate(), 9.5);  // 10 - 9 e^-4
}

TEST_F(ProgressTest, WithoutATotalThereIsNeitherPercentageNorEta) {
  Progress::Options unknown = options(terminal_);
  unknown.total = 0;
  unknown.unit = "tokens";
  Progress progress(unknown);
  clock_.advance(2s);
  progress.update(3'000'000);
  EXPECT_EQ(seen(), "train 3.0M  1.5M tokens/s");
}

TEST_F(ProgressTest, AStandstillHasNoEta) {
  Progress progress(options(terminal_));
  clock_.advance(5s);
  progress.update(0);
  EXPECT_EQ(seen(), "train 0/1000 (0%)");
}

TEST_F(ProgressTest, StaysBelowLogLines) {
  Progress progress(options(terminal_));
  progress.update(1);
  terminal_.print(LogLevel::kInfo, "saved step 1");
  EXPECT_EQ(seen(), "saved step 1\ntrain 1/1000 (0%)");
  progress.finish();
  EXPECT_EQ(seen(), "saved step 1\n");
}

TEST_F(ProgressTest, IsSilentWithoutATerminal) {
  Progress progress(options(pipe_));
  for (int64_t i = 0; i < 100; ++i) {
    clock_.advance(1s);
    progress.update(i);
  }
  progress.finish();
  EXPECT_EQ(pipe_.text(), "");
}

TEST_F(ProgressTest, PrintsAPlainLineNowAndThenWhenAsked) {
  Progress::Options plain = options(pipe_);
  plain.plain_every = 30s;
  Progress progress(plain);
  for (int64_t i = 1; i <= 70; ++i) {
    clock_.advance(1s);
    progress.update(i);
  }
  progress.finish();
  EXPECT_EQ(pipe_.text(),
            "train 30/1000 (3%)  1 steps/s  ETA 16:10\n"
            "train 60/1000 (6%)  1 steps/s  ETA 15:40\n");
}

TEST(Format, CountsUsePrefixesFromAThousandOn) {
  EXPECT_EQ(format_count(0), "0");
  EXPECT_EQ(format_count(0.125), "0.125");
  EXPECT_EQ(format_count(7), "7");
  EXPECT_EQ(format_count(12.34), "12.3");
  EXPECT_EQ(format_count(999), "999");
  EXPECT_EQ(format_count(999.7), "1.0k");
  EXPECT_EQ(format_count(12345), "12.3k");
  EXPECT_EQ(format_count(999'949), "999.9k");
  EXPECT_EQ(format_count(999'999), "1.0M");
  EXPECT_EQ(format_count(5'000'000), "5.0M");
  EXPECT_EQ(format_count(3e12), "3.0T");
  EXPECT_EQ(format_count(1e19), "10000.0P");
}

TEST(Format, DigitsAreGroupedByThousands) {
  EXPECT_EQ(grouped(0), "0");
  EXPECT_EQ(grouped(999), "999");
  EXPECT_EQ(grouped(1000), "1,000");
  EXPECT_EQ(grouped(1234567), "1,234,567");
}

TEST(Format, DurationsReadAsAClock) {
  EXPECT_EQ(format_duration(0s), "0:00");
  EXPECT_EQ(format_duration(47s), "0:47");
  EXPECT_EQ(format_duration(3599s), "59:59");
  EXPECT_EQ(format_duration(3661s), "1:01:01");
  EXPECT_EQ(format_duration(360000s), "100:00:00");
  EXPECT_EQ(format_duration(-5s), "0:00");
}

TEST(BinarySize, IsForPeople) {
  EXPECT_EQ(binary_size(512), "0 KiB");
  EXPECT_EQ(binary_size(5 * 1048576.0), "5 MiB");
  EXPECT_EQ(binary_size(1.25 * (1 << 30)), "1.2 GiB");
}

}  // namespace
}  // namespace nanochat
