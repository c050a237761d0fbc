#include "train/peak.h"

#include <algorithm>
#include <chrono>

#include "core/rng.h"
#include "train/gpu_table.h"

namespace nanochat {

double measured_peak_flops(Backend& backend, DType dtype) {
  // On a CPU 12 MiB in f32, whose rate is within 5 % of a 4096^3 product.
  const int64_t size = backend.device().kind == DeviceKind::kCpu ? 1024 : 8192;
  constexpr int kRepeats = 5;
  using Clock = std::chrono::steady_clock;
  Tensor a({size, size}, DType::kF32), b({size, size}, DType::kF32);
  fill_uniform(a, RandomStream(1, RandomPurpose::kTest), -1, 1);
  fill_uniform(b, RandomStream(2, RandomPurpose::kTest), -1, 1);
  const auto empty = [&](DType type) { return Tensor({size, size}, type, backend.allocator()); };
  Tensor x = empty(dtype), w = empty(dtype), y = empty(DType::kF32);
  backend.cast(a, x);
  backend.cast(b, w);
  double best = 0;
  for (int i = 0; i < kRepeats; ++i) {
    const Clock::time_point start = Clock::now();
    backend.matmul(x, false, w, true, y);
    backend.synchronize();
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    const auto n = static_cast<double>(size);
    best = std::max(best, 2 * n * n * n / seconds);
  }
  return best;
}

double peak_flops(Backend& backend, DType dtype) {
  if (backend.device().kind == DeviceKind::kCuda && dtype != DType::kF32) {
    // The description begins with the card's name.
    if (const auto spec = find_gpu(backend.description())) return spec->peak_flops;
  }
  return measured_peak_flops(backend, dtype);
}

}  // namespace nanochat
