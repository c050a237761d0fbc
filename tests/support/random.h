/// Test inputs that are the same in every run: each is a function of its seed alone.
#pragma once

#include <cstdint>

#include "core/tensor.h"
#include "ops/token_runs.h"

namespace nanochat::test {

/// Standard normal numbers, times `std`, rounded to f64, f32 or bf16. One seed and shape give the
/// same numbers in every dtype, up to that rounding.
[[nodiscard]] Tensor random_normal(Shape shape, DType dtype, uint64_t seed, double std = 1);

/// Uniform in [low, high), likewise.
[[nodiscard]] Tensor random_uniform(Shape shape, DType dtype, uint64_t seed, double low,
                                    double high);

/// n ids, i32 in [0, below). About `ignored_frac` of them become -1, as ignored targets are.
[[nodiscard]] Tensor random_ids(int64_t n, int64_t below, uint64_t seed, double ignored_frac = 0);

/// n_runs runs of random length in [0, max_length], awkward on purpose: the first three are of
/// max_length, 0 and 1 (as far as there are three). Each starts at a random position in
/// [0, max_position]. Slots are a permutation of 0 .. n_runs - 1.
[[nodiscard]] TokenRuns random_runs(int64_t n_runs, int64_t max_length, uint64_t seed,
                                    int64_t max_position = 0);

}  // namespace nanochat::test
