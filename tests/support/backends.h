/// The backends that parity and behaviour tests run on.
#pragma once

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "ops/devices.h"
#include "ops/transfer.h"

namespace nanochat::test {

/// For INSTANTIATE_TEST_SUITE_P(..., AllBackends(), backend_name): "reference" and "cpu" by name,
/// since backends are made while tests run, not while they are listed; in a build with CUDA, "cuda"
/// too. Tests with "cuda" in their name are labelled gpu.
[[nodiscard]] inline auto AllBackends() {
  std::vector<std::string> names{"reference", "cpu"};
#ifdef NC_TEST_CUDA
  names.emplace_back("cuda");
#endif
  return ::testing::ValuesIn(names);
}
/// The first two: for tests that look into the tensors of a model.
[[nodiscard]] inline auto BothBackends() {
  return ::testing::Values(std::string("reference"), std::string("cpu"));
}
[[nodiscard]] inline std::string backend_name(const ::testing::TestParamInfo<std::string>& info) {
  return info.param;
}
[[nodiscard]] inline Backend& backend_named(const std::string& name) {
  if (name == "cuda") return cuda_backend();
  return name == "reference" ? reference_backend() : cpu_backend();
}

/// Why tests on that backend cannot run here; empty: they can.
[[nodiscard]] inline std::string why_not(const std::string& backend) {
  return backend == "cuda" ? cuda_inventory().problem : "";
}

/// For SetUp() of a suite over AllBackends().
#define NC_SKIP_WITHOUT(backend)                                                        \
  if (const std::string reason = ::nanochat::test::why_not(backend); !reason.empty()) { \
    GTEST_SKIP() << "cuda: " << reason;                                                 \
  }                                                                                     \
  static_assert(true)

}  // namespace nanochat::test
