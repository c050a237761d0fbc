/// Each kernel file's table, for row_kernels.cpp to collect. A table holds addresses only and is
/// ready before any code runs.
#pragma once

#include "ops/cpu/row_kernels.h"
#include "ops/cpu/simd.h"

namespace nanochat::cpu::NC_ISA {

extern const ElementwiseKernels kElementwiseKernels;
extern const NormKernels kNormKernels;
extern const RopeKernels kRopeKernels;
extern const CrossEntropyKernels kCrossEntropyKernels;
extern const EmbeddingKernels kEmbeddingKernels;
extern const ReductionKernels kReductionKernels;
extern const OptimKernels kOptimKernels;
extern const GemmKernels kGemmKernels;
extern const PackedKernels kPackedKernels;

}  // namespace nanochat::cpu::NC_ISA
