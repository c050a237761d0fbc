#include "ops/cpu/cpu_backend.h"
#include "ops/cpu/ranges.h"

namespace nanochat::cpu {

void CpuBackend::softcap_cross_entropy(Tensor& logits, const Tensor& targets, const Tensor& weight,
                                       float cap, bool with_gradient, Tensor& loss) {
  const int64_t N = logits.dim(0), V = logits.dim(1);
  const auto kernel = kernels_.cross_entropy.row[type_of(logits)];
  // A row of scratch per thread, in whole cache lines.
  const int64_t scratch_size = (V + 15) & -16;
  auto* scratch =
      static_cast<float*>(workspace_.reserve(num_threads() * scratch_size * size_of(DType::kF32)));
  // Ignored rows cost nothing, so rows go to whichever thread is free, a few at a time.
  const int64_t item_rows = std::max<int64_t>(1, kElementGrain / std::max<int64_t>(V, 1));
  parallel_items((N + item_rows - 1) / item_rows, [&](int64_t item, int thread) {
    const int64_t end = std::min(N, (item + 1) * item_rows);
    for (int64_t n = item * item_rows; n < end; ++n) {
      loss.data<float>()[n] =
          kernel(at(logits, n * V), V, targets.data<int32_t>()[n], weight.data<float>()[n], cap,
                 with_gradient, scratch + thread * scratch_size);
    }
  });
}

}  // namespace nanochat::cpu
