// labels: unit parity
#include "eval/bits_per_byte.h"

#include <array>
#include <cmath>
#include <filesystem>
#include <limits>
#include <utility>

#include <gtest/gtest.h>

#include "support/backends.h"
#include "support/gpt_fixture.h"

namespace nanochat {
namespace {

class BitsPerByteTest : public ::testing::TestWithParam<std::string> {
 protected:
  Backend& backend_ = test::backend_named(GetParam());
};
INSTANTIATE_TEST_SUITE_P(, BitsPerByteTest, test::BothBackends(), test::backend_name);

TEST_P(BitsPerByteTest, OfTheFixturesIsUpstreams) {
  constexpr const char* kPattern = "classic/gpt*.json";
  const auto paths = test::find_fixtures(kPattern);
  if (paths.empty()) GTEST_SKIP() << test::missing_fixture(kPattern);
  for (const std::filesystem::path& path : paths) {
    SCOPED_TRACE(path.filename().string());
    const test::GptFixture c(path);
    Gpt model(c.config, backend_, {.trainable = false});
    load_weights(model, c.file, "w.");
    Tape tape(backend_, host_allocator());
    int batches = 0;
    const auto next = [&](Batch& batch) {
      batch = c.batch();
      return ++batches <= 1;
    };
    const Tensor token_bytes = c.file.tensor("token_bytes");
    const BitsPerByte result = bits_per_byte(model, tape, next, -1, token_bytes.span<int32_t>());
    const double expected = c.json.at("bpb").at("value").get<double>();
    EXPECT_NEAR(result.value(), expected, 1e-5 * expected);
    EXPECT_EQ(result.batches, 1);
  }
}

/// A model whose logits are all zero: every token has the probability 1 / vocab_size.
class UniformModelTest : public ::testing::Test {
 protected:
  UniformModelTest()
      : model_(config(), reference_backend()), tape_(reference_backend(), host_allocator()) {
    model_.init_weights(1);  // lm_head is zero
  }
  static GptConfig config() {
    return {
        .sequence_len = 4, .vocab_size = 8, .n_layer = 1, .n_head = 1, .n_kv_head = 1, .n_embd = 8};
  }
  static bool fill(Batch& batch) {
    constexpr std::array<int32_t, 4> kIds{0, 1, 2, 3}, kTargets{1, 2, -1, 7};
    batch = {tensor_of(std::span<const int32_t>(kIds), {4}),
             tensor_of(std::span<const int32_t>(kTargets), {4}), Tensor({4}, DType::kF32),
             TokenRuns::uniform(1, 4)};
    set_mean_weights(batch);
    return true;
  }

  Gpt model_;
  Tape tape_;
  // Token 7 is special.
  static constexpr std::array<int32_t, 8> kTokenBytes{1, 3, 5, 1, 1, 1, 1, 0};
};

TEST_F(UniformModelTest, IgnoredTargetsAndSpecialTokensCountInNeitherSum) {
  const BitsPerByte result = bits_per_byte(model_, tape_, fill, 3, kTokenBytes);
  EXPECT_EQ(result.batches, 3);
  EXPECT_EQ(result.tokens, 3 * 2);  // 1 and 2
  EXPECT_EQ(result.bytes, 3 * (3 + 5));
  EXPECT_NEAR(result.value(), 2 * 3.0 / 8, 1e-6);  // two tokens of 3 bits in 8 bytes
}

TEST_F(UniformModelTest, NothingToMeasureIsInfinite) {
  const auto nothing = [](Batch&) { return false; };
  EXPECT_EQ(bits_per_byte(model_, tape_, nothing, -1, kTokenBytes).value(),
            std::numeric_limits<double>::infinity());
}

}  // namespace
}  // namespace nanochat
