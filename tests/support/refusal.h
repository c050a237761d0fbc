/// What a function says when it refuses.
#pragma once

#include <exception>
#include <string>

#include <gtest/gtest.h>

/// The text holds the part; else shows it whole.
#define EXPECT_SAYS(text, part) EXPECT_NE((text).find(part), std::string::npos) << (text)

namespace nanochat::test {

/// The message of the Expected that `f` throws; anything else, or nothing, is a failure.
template <typename Expected, typename F>
std::string refusal(F&& f) {
  try {
    f();
  } catch (const Expected& e) {
    return e.what();
  } catch (const std::exception& e) {
    ADD_FAILURE() << "another error: " << e.what();
    return e.what();
  }
  ADD_FAILURE() << "no error";
  return "";
}

}  // namespace nanochat::test
