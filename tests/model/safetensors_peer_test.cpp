// labels: peers
// Files cross over in both directions to the Python package safetensors. $NANOCHAT_PEERS_PYTHON
// names the interpreter that has it; default python3.
#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "core/file.h"
#include "model/safetensors.h"
#include "support/compare.h"

namespace nanochat {
namespace {

namespace fs = std::filesystem;

/// Prints every tensor as "name dtype [shape] hex bytes", sorted, then the metadata under "note".
constexpr std::string_view kRead = R"py(
import sys
from safetensors import deserialize, safe_open
data = open(sys.argv[1], "rb").read()
for name, t in sorted(deserialize(data)):
    print(name, t["dtype"], list(t["shape"]), bytes(t["data"]).hex())
with safe_open(sys.argv[1], framework="numpy") as f:
    print(f.metadata()["note"])
)py";

/// Rewrites, with the package's own writer, what it can read as numpy arrays.
constexpr std::string_view kRewrite = R"py(
import sys
from safetensors import safe_open
from safetensors.numpy import load_file, save_file
with safe_open(sys.argv[1], framework="numpy") as f:
    metadata = f.metadata() if sys.argv[3] == "keep" else {"note": "rewritten"}
save_file(load_file(sys.argv[1]), sys.argv[2], metadata=metadata)
)py";

std::string python() {
  const char* const named = std::getenv("NANOCHAT_PEERS_PYTHON");
  return named ? named : "python3";
}

class SafetensorsPeerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "safetensors-XXXXXX").string();
    NC_CHECK(mkdtemp(pattern.data()) != nullptr);
    folder_ = pattern;
    const std::string probe = python() + " -c 'import safetensors.numpy' 2>/dev/null";
    if (std::system(probe.c_str()) != 0) {
      GTEST_SKIP() << python() << " has no packages safetensors and numpy: install them, or name "
                   << "another interpreter in NANOCHAT_PEERS_PYTHON";
    }
  }
  void TearDown() override { fs::remove_all(folder_); }

  [[nodiscard]] std::string path(std::string_view name) const { return folder_ / name; }

  /// What the script prints; fails the test when it fails.
  [[nodiscard]] std::string run(std::string_view script, const std::string& arguments) const {
    write_file_atomically(path("script.py"), script);
    const std::string command =
        fmt::format("{} {} {} 2>&1", python(), path("script.py"), arguments);
    std::FILE* const pipe = popen(command.c_str(), "r");
    NC_CHECK(pipe != nullptr);
    std::string output;
    std::array<char, 4096> block{};
    while (const size_t n = std::fread(block.data(), 1, block.size(), pipe)) {
      output.append(block.data(), n);
    }
    EXPECT_EQ(pclose(pipe), 0) << output;
    return output;
  }

  fs::path folder_;
};

template <typename T>
Tensor counted(Shape shape) {
  Tensor t(shape, kDTypeOf<T>);
  for (int64_t i = 0; i < t.numel(); ++i)
    t.data<T>()[i] = static_cast<T>(static_cast<float>(i + 1));
  return t;
}

/// The dtypes that numpy has.
std::vector<NamedTensor> numpy_tensors() {
  return {{"f32", counted<float>({4, 8})},
          {"f64", counted<double>({2, 1, 2, 1})},
          {"f16", counted<F16>({5})},
          {"i64", counted<int64_t>({3})},
          {"i32 with \"quotes\" \xe4\xb8\xad", counted<int32_t>({1})},
          {"u8", counted<uint8_t>({3})},
          {"scalar", counted<float>({})},
          {"empty", counted<float>({0, 5})}};
}

std::string hex_line(const NamedTensor& t, std::string_view dtype, std::string_view shape) {
  std::string line = fmt::format("{} {} {} ", t.name, dtype, shape);
  const auto* const bytes = static_cast<const uint8_t*>(t.tensor.raw());
  for (int64_t i = 0; i < t.tensor.size_bytes(); ++i) line += fmt::format("{:02x}", bytes[i]);
  return line + "\n";
}

TEST_F(SafetensorsPeerTest, ThePackageReadsWhatWeWrite) {
  const NamedTensor bf16{"a.bf16", counted<Bf16>({2, 3})};
  const NamedTensor empty{"b.empty", counted<float>({0, 5})};
  const NamedTensor f32{"c.f32", counted<float>({3})};
  const NamedTensor scalar{"d.scalar", counted<int64_t>({})};
  write_safetensors(path("ours"), std::vector{scalar, f32, empty, bf16},
                    {{"note", "\xe4\xb8\xad"}});
  EXPECT_EQ(run(kRead, path("ours")),
            hex_line(bf16, "BF16", "[2, 3]") + hex_line(empty, "F32", "[0, 5]") +
                hex_line(f32, "F32", "[3]") + hex_line(scalar, "I64", "[]") + "\xe4\xb8\xad\n");
}

TEST_F(SafetensorsPeerTest, WeReadWhatThePackageWrites) {
  const std::vector<NamedTensor> tensors = numpy_tensors();
  write_safetensors(path("ours"), tensors);
  for (const bool keep_metadata : {false, true}) {
    static_cast<void>(run(kRewrite, fmt::format("{} {} {}", path("ours"), path("theirs"),
                                                keep_metadata ? "keep" : "drop")));
    const SafetensorsFile file(path("theirs"));
    EXPECT_EQ(file.entries().size(), tensors.size());
    for (const NamedTensor& t : tensors) {
      EXPECT_TRUE(test::same_bits(file.tensor(t.name), t.tensor)) << t.name;
    }
    // Checksums cover contents, not the header's spelling, so they survive another program.
    EXPECT_EQ(file.has_checksums(), keep_metadata);
    EXPECT_EQ(file.metadata().contains("note"), !keep_metadata);
  }
}

}  // namespace
}  // namespace nanochat
