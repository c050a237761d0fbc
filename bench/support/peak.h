/// What the machine can do at most, measured in the same run as what we reach.
#pragma once

#include "core/dtype.h"
#include "ops/backend.h"

namespace nanochat::bench {

/// GFLOP/s of multiply-adds that never leave the registers, on num_threads() cores: vdpbf16ps for
/// bf16, FMA for f32. 0 when this CPU (or compiler) has no such instruction. About 0.2 s.
[[nodiscard]] double register_peak_gflops(DType dtype);

/// GFLOP/s of a 4096^3 product of `dtype` into f32 by this backend, best of `repeats`.
[[nodiscard]] double square_gemm_gflops(Backend& backend, DType dtype, int repeats = 3);

}  // namespace nanochat::bench
