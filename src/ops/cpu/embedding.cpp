#include "ops/cpu/cpu_backend.h"
#include "ops/cpu/ranges.h"

namespace nanochat::cpu {

void CpuBackend::embedding(const Tensor& w, const Tensor& ids, Tensor& y) {
  const int64_t C = w.dim(1);
  const auto kernel = kernels_.embedding.forward[type_of(w)][type_of(y)];
  for_rows(ids.numel(), C, [&](int64_t row, int64_t n_rows) {
    kernel(w.raw(), ids.data<int32_t>() + row, at(y, row * C), n_rows, C);
  });
}

void CpuBackend::embedding_backward(const Tensor& dy, const Tensor& ids, Tensor& dw) {
  const int64_t n_rows = ids.numel(), C = dw.dim(1);
  const auto kernel = kernels_.embedding.backward[type_of(dy)];
  // Columns in whole cache lines of dw, and enough of them to be worth a thread.
  constexpr int64_t kLine = 16;
  const int64_t wanted = kElementGrain / std::max<int64_t>(n_rows, 1);
  const int64_t grain = std::max(kLine, (wanted + kLine - 1) / kLine * kLine);
  parallel_for(C, grain, [&](int64_t begin, int64_t end) {
    kernel(dy.raw(), ids.data<int32_t>(), dw.data<float>(), n_rows, C, begin, end);
  });
}

}  // namespace nanochat::cpu
