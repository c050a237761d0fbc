#include "core/process_time.h"

#include <chrono>
#include <thread>

#include <gtest/gtest.h>

namespace nanochat {
namespace {

const auto first_static_object = std::chrono::steady_clock::now();

TEST(ProcessTime, BeginsBeforeTheProgramDoesAndGoesOn) {
  const double a = seconds_since_process_start();
  const std::chrono::duration<double> b = std::chrono::steady_clock::now() - first_static_object;
  EXPECT_GE(a + 1e-3, b.count());
  EXPECT_LT(a, b.count() + 5) << "a process does not take seconds to load";
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_GE(seconds_since_process_start(), a + 0.02);
}

}  // namespace
}  // namespace nanochat
