#include "train/peak.h"

#include <algorithm>
#include <chrono>

#include "core/rng.h"

namespace nanochat {

double measured_peak_flops(Backend& backend, DType dtype) {
  constexpr int64_t kSize = 1024;  // 12 MiB in f32: its rate is within 5 % of a 4096^3 product
  constexpr int kRepeats = 5;
  using Clock = std::chrono::steady_clock;
  Tensor a({kSize, kSize}, DType::kF32), b({kSize, kSize}, DType::kF32);
  fill_uniform(a, RandomStream(1, RandomPurpose::kTest), -1, 1);
  fill_uniform(b, RandomStream(2, RandomPurpose::kTest), -1, 1);
  Tensor x({kSize, kSize}, dtype), w({kSize, kSize}, dtype), y({kSize, kSize}, DType::kF32);
  backend.cast(a, x);
  backend.cast(b, w);
  double best = 0;
  for (int i = 0; i < kRepeats; ++i) {
    const Clock::time_point start = Clock::now();
    backend.matmul(x, false, w, true, y);
    backend.synchronize();
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    best = std::max(best, 2.0 * kSize * kSize * kSize / seconds);
  }
  return best;
}

}  // namespace nanochat
