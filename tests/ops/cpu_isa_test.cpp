// Which instruction set the cpu backend takes, and what it says when it cannot.
#include <cstdlib>
#include <optional>
#include <string>

#include <gtest/gtest.h>

#include "ops/backend.h"
#include "ops/cpu/isa.h"

namespace nanochat::test {
namespace {

/// Sets NANOCHAT_CPU_ISA, and puts it back.
class IsaVariable {
 public:
  explicit IsaVariable(const char* value) {
    if (const char* before = std::getenv(kName)) before_ = before;
    setenv(kName, value, 1);
  }
  ~IsaVariable() {
    if (before_) {
      setenv(kName, before_->c_str(), 1);
    } else {
      unsetenv(kName);
    }
  }
  IsaVariable(const IsaVariable&) = delete;
  IsaVariable& operator=(const IsaVariable&) = delete;

 private:
  static constexpr const char* kName = "NANOCHAT_CPU_ISA";
  std::optional<std::string> before_;
};

TEST(CpuIsaTest, ThePortableSetIsAlwaysThere) {
  EXPECT_TRUE(cpu::is_supported(cpu::Isa::kPortable));
  EXPECT_TRUE(cpu::is_supported(cpu::detect_isa()));
  EXPECT_EQ(cpu::parse_isa("portable"), cpu::Isa::kPortable);
}

TEST(CpuIsaTest, TheVariableNamesTheSet) {
  const IsaVariable variable("portable");
  EXPECT_EQ(cpu::chosen_isa(), cpu::Isa::kPortable);
}

TEST(CpuIsaTest, AnEmptyVariableMeansTheBest) {
  const IsaVariable variable("");
  EXPECT_EQ(cpu::chosen_isa(), cpu::detect_isa());
}

TEST(CpuIsaTest, AnUnknownNameIsADeviceErrorThatListsTheNames) {
  const IsaVariable variable("avx1024");
  try {
    static_cast<void>(cpu::chosen_isa());
    FAIL() << "no error";
  } catch (const DeviceError& error) {
    const std::string what = error.what();
    EXPECT_NE(what.find("avx1024"), std::string::npos) << what;
    EXPECT_NE(what.find("avx512_bf16"), std::string::npos) << what;
    EXPECT_EQ(error.exit_code(), ExitCode::kDevice);
  }
  EXPECT_THROW(static_cast<void>(make_cpu_backend("AVX2 ")), DeviceError);
}

TEST(CpuIsaTest, ABackendSaysWhatItIs) {
  const auto backend = make_cpu_backend("portable");
  EXPECT_EQ(backend->name(), "cpu");
  EXPECT_EQ(backend->description(), "portable, own GEMM");
  EXPECT_EQ(backend->preferred_dtype(), DType::kF32);
  EXPECT_TRUE(backend->supports(DType::kF32));
  EXPECT_TRUE(backend->supports(DType::kBf16));
  EXPECT_FALSE(backend->supports(DType::kF64));
}

TEST(CpuIsaTest, Bf16IsPreferredOnlyWhereItIsMultiplied) {
  if (!cpu::is_supported(cpu::Isa::kAvx512Bf16)) GTEST_SKIP() << "this CPU has no avx512_bf16";
  const auto backend = make_cpu_backend("avx512_bf16");
  const bool onednn = backend->description().find("oneDNN") != std::string::npos;
  EXPECT_EQ(backend->preferred_dtype(), onednn ? DType::kBf16 : DType::kF32);
  EXPECT_EQ(make_cpu_backend("avx2")->preferred_dtype(), DType::kF32);
}

}  // namespace
}  // namespace nanochat::test
