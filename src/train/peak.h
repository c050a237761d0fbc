/// What MFU is measured against.
#pragma once

#include "core/dtype.h"
#include "ops/backend.h"

namespace nanochat {

/// FLOP/s of a square product of `dtype` into f32 on this backend, the best of a few: what a CPU,
/// whose data sheet gives no figure, can be asked for. About 0.1 s.
[[nodiscard]] double measured_peak_flops(Backend& backend, DType dtype);

/// What counts as MFU 1: of a GPU whose data sheet we know (train/gpu_table.h) that figure for
/// bf16; else measured_peak_flops.
[[nodiscard]] double peak_flops(Backend& backend, DType dtype);

}  // namespace nanochat
