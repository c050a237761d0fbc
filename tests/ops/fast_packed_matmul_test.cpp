/// Products with packed weights: against the reference, and the promise that a row does not feel
/// its company.
#include "ops/op_case.h"

namespace nanochat {
namespace {

using test::check_op;
using test::OpCase;

constexpr WeightFormat kFormats[] = {WeightFormat::kF32, WeightFormat::kBf16, WeightFormat::kInt8};

PackedWeights packed(WeightFormat format, const Tensor& w) {
  PackedWeights p = PackedWeights::zeros(format, w.dim(0), w.dim(1));
  p.pack_rows(w, 0);
  return p;
}

class FastPackedMatmulTest : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    backend_ = test::backend_for(GetParam());
    if (!backend_) GTEST_SKIP() << "this machine has no " << GetParam();
  }
  std::unique_ptr<Backend> backend_;
};
INSTANTIATE_TEST_SUITE_P(Isa, FastPackedMatmulTest, ::testing::ValuesIn(test::kFastBackends),
                         [](const auto& isa) { return isa.param; });

TEST_P(FastPackedMatmulTest, AgreesOnAwkwardShapes) {
  uint64_t seed = 1;
  for (const WeightFormat format : kFormats) {
    for (const DType act : {DType::kF32, DType::kBf16}) {
      for (const DType to : {act, DType::kF32}) {
        for (const auto& [N, in, out] :
             std::vector<std::tuple<int64_t, int64_t, int64_t>>{{1, 1, 1},
                                                                {1, 64, 48},
                                                                {2, 7, 15},
                                                                {3, 129, 17},
                                                                {5, 34, 250},
                                                                {13, 2, 16},
                                                                {16, 256, 33},
                                                                {25, 31, 64},
                                                                {29, 1000, 31},
                                                                {0, 8, 8}}) {
          for (const Epilogue epilogue : {Epilogue::kNone, Epilogue::kReluSquared}) {
            const PackedWeights w =
                packed(format, test::random_normal({out, in}, DType::kF32, seed++));
            // Sums of `in` products of size 1, each rounded in f32, and the rounding of y.
            const double f32 = 4 * std::sqrt(static_cast<double>(in)) * 0x1p-24;
            check_op({.name = fmt::format("{} x {}: {}x{}x{} -> {}", name_of(act), name_of(format),
                                          N, in, out, name_of(to)),
                      .in = {test::random_normal({N, in}, act, seed++)},
                      .out = {{.initial = Tensor({N, out}, to),
                               .tolerance = {.abs = 1e-6,
                                             .rel_of_max =
                                                 f32 + (to == DType::kBf16 ? 0x1p-7 : 0x1p-22)}}},
                      .run = [&](Backend& b, const OpCase::Tensors& x,
                                 OpCase::Tensors& y) { b.matmul_packed(x[0], w, y[0], epilogue); }},
                     *backend_);
          }
        }
      }
    }
  }
}

TEST_P(FastPackedMatmulTest, ARowDoesNotDependOnTheRowsBesideIt) {
  for (const WeightFormat format : kFormats) {
    for (const DType act : {DType::kF32, DType::kBf16}) {
      const PackedWeights w = packed(format, test::random_normal({70, 301}, DType::kF32, 3));
      const Tensor x = test::random_normal({600, 301}, act, 4);
      Tensor all({600, 70}, act);
      backend_->matmul_packed(x, w, all);
      for (const int64_t n : {1, 2, 3, 4, 5, 7, 8, 11, 12, 13, 16, 24, 64}) {
        Tensor some({n, 70}, act);
        backend_->matmul_packed(x.rows(600 - n, 600), w, some);
        EXPECT_TRUE(test::same_bits(some, all.rows(600 - n, 600)))
            << n << " rows, " << name_of(format) << ", " << name_of(act);
      }
    }
  }
}

TEST_P(FastPackedMatmulTest, NanReachesItsRowAlone) {
  const PackedWeights w =
      packed(WeightFormat::kBf16, test::random_normal({20, 10}, DType::kF32, 3));
  Tensor x = test::random_normal({4, 10}, DType::kF32, 4);
  x.data<float>()[2 * 10 + 3] = std::numeric_limits<float>::quiet_NaN();
  Tensor y({4, 20}, DType::kF32);
  backend_->matmul_packed(x, w, y, Epilogue::kReluSquared);
  for (int64_t i = 0; i < 80; ++i) EXPECT_EQ(std::isnan(y.data<float>()[i]), i / 20 == 2) << i;
}

TEST(PackedWeightsTest, RowsComeInPartsAndAreRoundedOnce) {
  const Tensor a = test::random_normal({21, 9}, DType::kF32, 1);
  const Tensor b = test::random_normal({30, 9}, DType::kF32, 2);
  for (const WeightFormat format : kFormats) {
    PackedWeights w = PackedWeights::zeros(format, 51, 9);
    w.pack_rows(b, 21);
    w.pack_rows(a, 0);
    EXPECT_EQ(w.size_bytes(), 4 * w.panel_bytes() + (w.scales ? 4 * 64 : 0));
    for (int64_t row = 0; row < 51; ++row) {
      const float* x = row < 21 ? a.data<float>() + row * 9 : b.data<float>() + (row - 21) * 9;
      const float largest = std::abs(
          *std::max_element(x, x + 9, [](float p, float q) { return std::abs(p) < std::abs(q); }));
      for (int64_t k = 0; k < 9; ++k) {
        const float error = std::abs(w.at(row, k) - x[k]);
        switch (format) {
          case WeightFormat::kF32:
            EXPECT_EQ(error, 0);
            break;
          case WeightFormat::kBf16:
            EXPECT_EQ(w.at(row, k), static_cast<float>(Bf16(x[k])));
            break;
          case WeightFormat::kInt8:
            EXPECT_LE(error, largest / 127 * 0.50001F);
            break;
        }
      }
    }
  }
}

TEST(PackedWeightsTest, ARowOfZerosStaysOne) {
  PackedWeights w = PackedWeights::zeros(WeightFormat::kInt8, 2, 3);
  w.pack_rows(zeros({2, 3}, DType::kF32), 0);
  EXPECT_EQ(w.at(1, 2), 0);
}

TEST(PackedWeightsTest, SizesAreChecked) {
  const PackedWeights w = PackedWeights::zeros(WeightFormat::kInt8, 40, 12);
  EXPECT_NO_THROW(PackedWeights(w.format, 40, 12, w.data, w.scales));
  EXPECT_THROW(PackedWeights(w.format, 40, 14, w.data, w.scales), DataError);
  EXPECT_THROW(PackedWeights(w.format, 40, 12, w.data, {}), DataError);
  EXPECT_THROW(PackedWeights(WeightFormat::kBf16, 40, 12, w.data, w.scales), DataError);
  EXPECT_THROW(static_cast<void>(parse_weight_format("int4")), UsageError);
}

}  // namespace
}  // namespace nanochat
