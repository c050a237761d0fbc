/// Models that keep their matrices packed for inference.
#include <cmath>

#include <gtest/gtest.h>

#include "core/error.h"
#include "core/rng.h"
#include "model/gpt.h"
#include "model/weights.h"
#include "support/backends.h"
#include "support/compare.h"
#include "support/temporary_folder.h"

namespace nanochat {
namespace {

/// Heads of 5 dimensions and 23 tokens, so that no matrix is a whole number of panels.
const GptConfig kConfig{
    .sequence_len = 32, .vocab_size = 23, .n_layer = 2, .n_head = 6, .n_kv_head = 3, .n_embd = 36};

class GptPackedTest : public ::testing::TestWithParam<std::string> {
 protected:
  GptPackedTest() {
    Gpt source(kConfig, reference_backend());
    uint32_t item = 0;
    for (Parameter& p : source.parameters()) {
      fill_normal(p.value, RandomStream(5, RandomPurpose::kTest, 0, item++), 0, 0.3F);
    }
    source.refresh_compute_weights();
    save_weights(source, path_);
  }
  std::unique_ptr<Gpt> make(DType dtype, std::optional<WeightFormat> packed) {
    return std::make_unique<Gpt>(kConfig, backend_,
                                 GptOptions{.dtype = dtype, .trainable = false, .packed = packed});
  }
  std::unique_ptr<Gpt> loaded(DType dtype, std::optional<WeightFormat> packed) {
    auto model = make(dtype, packed);
    load_weights(*model, SafetensorsFile(path_));
    return model;
  }
  Tensor logits(Gpt& model, int64_t n_rows = 20) {
    Tape tape(backend_, host_allocator());
    const RecordingScope off(tape, false);
    std::vector<int32_t> ids;
    for (int32_t i = 0; i < n_rows; ++i) ids.push_back(i * 7 % 23);
    const TokenRuns runs = TokenRuns::uniform(1, n_rows);
    const Var hidden =
        model.forward(tape, tensor_of(std::span<const int32_t>(ids), {n_rows}), runs);
    return model.logits(tape, hidden.value).clone();
  }

  test::TemporaryFolder folder_;
  const std::filesystem::path path_ = folder_ / "model.safetensors";
  Backend& backend_ = test::backend_named(GetParam());
};
INSTANTIATE_TEST_SUITE_P(, GptPackedTest, test::BothBackends(), test::backend_name);

TEST_P(GptPackedTest, LogitsAreThoseOfTheModel) {
  const Tensor expected = logits(*loaded(DType::kF32, {}));
  const auto close = [&](DType dtype, WeightFormat format, double tolerance) {
    return test::is_close(logits(*loaded(dtype, format)), expected,
                          {.abs = 0, .rel_of_max = tolerance});
  };
  EXPECT_TRUE(close(DType::kF32, WeightFormat::kF32, 1e-5));
  EXPECT_TRUE(close(DType::kF32, WeightFormat::kBf16, 0.02));
  EXPECT_TRUE(close(DType::kBf16, WeightFormat::kBf16, 0.05));
  EXPECT_TRUE(close(DType::kF32, WeightFormat::kInt8, 0.05));
}

TEST_P(GptPackedTest, AFileOfPackedWeightsIsTheSameModel) {
  for (const auto format : {WeightFormat::kF32, WeightFormat::kBf16, WeightFormat::kInt8}) {
    const auto model = loaded(DType::kF32, format);
    save_packed_weights(*model, folder_ / "packed", "the source");
    const auto mapped = make(DType::kF32, format);
    load_packed_weights(*mapped, folder_ / "packed", "the source");
    EXPECT_TRUE(test::same_bits(logits(*mapped), logits(*model)));
    EXPECT_THROW(load_packed_weights(*mapped, folder_ / "packed", "another"), DataError);
    const auto other =
        make(DType::kF32, format == WeightFormat::kF32 ? WeightFormat::kBf16 : WeightFormat::kF32);
    EXPECT_THROW(load_packed_weights(*other, folder_ / "packed", "the source"), DataError);
  }
  const auto model = make(DType::kF32, WeightFormat::kInt8);
  EXPECT_THROW(load_packed_weights(*model, folder_ / "none", "the source"), NotFoundError);
}

TEST_P(GptPackedTest, NoMemoryIsSpentOnRowMajorWeights) {
  const auto whole = loaded(DType::kF32, {});
  const auto packed = loaded(DType::kF32, WeightFormat::kInt8);
  const int64_t wte = 64 * 36 * 4;
  EXPECT_EQ(whole->weight_bytes(), kConfig.num_params() * 4);
  EXPECT_LT(packed->weight_bytes() - wte, (whole->weight_bytes() - wte) / 3);
}

}  // namespace
}  // namespace nanochat
