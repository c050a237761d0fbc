#include <algorithm>

#include "core/parallel.h"
#include "ops/cpu/gemm.h"

namespace nanochat::cpu {
namespace {

class PortableGemm final : public Gemm {
 public:
  explicit PortableGemm(const GemmKernels& kernels) : kernels_(kernels) {}

  void run(const GemmShape& s, const void* a, const void* b, void* c) override {
    const int64_t row_blocks = (s.M + kGemmRows - 1) / kGemmRows;
    const int64_t column_blocks = (s.N + kGemmColumns - 1) / kGemmColumns;
    const auto kernel = kernels_.block[s.in == DType::kBf16][s.out == DType::kBf16];
    const int64_t in_size = size_of(s.in), out_size = size_of(s.out);
    const int64_t a_row = s.transpose_a ? 1 : s.K, a_column = s.transpose_a ? s.M : 1;
    const int64_t b_row = s.transpose_b ? 1 : s.N, b_column = s.transpose_b ? s.K : 1;
    auto* scratch = static_cast<float*>(
        workspace_.reserve(num_threads() * kGemmScratch * size_of(DType::kF32)));
    parallel_items(s.batch * row_blocks * column_blocks, [&](int64_t item, int thread) {
      const int64_t column = item % column_blocks * kGemmColumns;
      const int64_t row = item / column_blocks % row_blocks * kGemmRows;
      const int64_t matrix = item / column_blocks / row_blocks;
      kernel({.a = static_cast<const char*>(a) + (matrix * s.M * s.K + row * a_row) * in_size,
              .a_row = a_row,
              .a_column = a_column,
              .b = static_cast<const char*>(b) + (matrix * s.K * s.N + column * b_column) * in_size,
              .b_row = b_row,
              .b_column = b_column,
              .c = static_cast<char*>(c) + (matrix * s.M * s.N + row * s.N + column) * out_size,
              .c_row = s.N,
              .m = std::min(kGemmRows, s.M - row),
              .n = std::min(kGemmColumns, s.N - column),
              .k = s.K,
              .alpha = s.alpha,
              .beta = s.beta,
              .relu_squared = s.relu_squared},
             scratch + thread * kGemmScratch);
    });
  }

  std::string description() const override { return "own GEMM"; }
  bool has_bf16() const noexcept override { return false; }
  int64_t workspace_bytes() const noexcept override { return workspace_.size_bytes(); }

 private:
  const GemmKernels& kernels_;
  Workspace workspace_;
};

}  // namespace

std::unique_ptr<Gemm> make_portable_gemm(const GemmKernels& kernels) {
  return std::make_unique<PortableGemm>(kernels);
}

}  // namespace nanochat::cpu
