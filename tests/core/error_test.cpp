#include "core/error.h"

#include <string>

#include <gtest/gtest.h>

namespace nanochat {
namespace {

template <typename E>
void expect_code(int code) {
  const E error("{}: ends at byte {}", "model.safetensors", 17);
  EXPECT_EQ(static_cast<int>(error.exit_code()), code);
  EXPECT_STREQ(error.what(), "model.safetensors: ends at byte 17");
  // main() catches Error; library users may catch only the standard's.
  EXPECT_THROW(throw E("x"), Error);
  EXPECT_THROW(throw E("x"), std::runtime_error);
}

// Scripts rely on these numbers.
TEST(Error, EachTypeHasItsDocumentedExitCode) {
  expect_code<UsageError>(2);
  expect_code<DataError>(3);
  expect_code<ShapeError>(3);
  expect_code<NotFoundError>(4);
  expect_code<IoError>(5);
  expect_code<OutOfMemoryError>(6);
  expect_code<DeviceError>(7);
  expect_code<NumericError>(8);
}

TEST(CheckDeathTest, PrintsPlaceConditionAndMessageThenAborts) {
  const int slot = 7;
  EXPECT_EXIT(NC_CHECK(slot < 4, "slot {} of {}", slot, 4), ::testing::KilledBySignal(SIGABRT),
              "error_test.cpp:[0-9]+: check failed: slot < 4: slot 7 of 4");
  EXPECT_DEATH(NC_CHECK(slot < 4), "check failed: slot < 4\n");
}

TEST(Check, DoesNothingWhenTrueAndIsOneStatement) {
  int evaluated = 0;
  if (evaluated == 0)
    NC_CHECK(++evaluated > 0);
  else
    FAIL();
  EXPECT_EQ(evaluated, 1);
}

TEST(CheckDeathTest, DebugChecksAreOnlyThereInDebugBuilds) {
  int evaluated = 0;
#ifdef NDEBUG
  NC_DCHECK(++evaluated < 0);
  EXPECT_EQ(evaluated, 0);
#else
  EXPECT_DEATH(NC_DCHECK(++evaluated < 0, "n is {}", evaluated), "check failed.*n is 1");
#endif
}

}  // namespace
}  // namespace nanochat
