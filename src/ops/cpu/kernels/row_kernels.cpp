#include "ops/cpu/row_kernels.h"

#include "ops/cpu/kernels/tables.h"

namespace nanochat::cpu::NC_ISA {

const RowKernels& row_kernels() {
  static constexpr RowKernels kTable = {
      .elementwise = kElementwiseKernels,
      .norm = kNormKernels,
      .rope = kRopeKernels,
      .cross_entropy = kCrossEntropyKernels,
      .embedding = kEmbeddingKernels,
      .reductions = kReductionKernels,
      .optim = kOptimKernels,
      .gemm = kGemmKernels,
      .packed = kPackedKernels,
  };
  return kTable;
}

}  // namespace nanochat::cpu::NC_ISA
