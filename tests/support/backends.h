/// The backends that parity and behaviour tests run on.
#pragma once

#include <string>

#include <gtest/gtest.h>

#include "ops/backend.h"

namespace nanochat::test {

/// For INSTANTIATE_TEST_SUITE_P(..., BothBackends(), backend_name): "reference" and "cpu" by name,
/// since backends are made while tests run, not while they are listed.
[[nodiscard]] inline auto BothBackends() {
  return ::testing::Values(std::string("reference"), std::string("cpu"));
}
[[nodiscard]] inline std::string backend_name(const ::testing::TestParamInfo<std::string>& info) {
  return info.param;
}
[[nodiscard]] inline Backend& backend_named(const std::string& name) {
  return name == "reference" ? reference_backend() : cpu_backend();
}

}  // namespace nanochat::test
