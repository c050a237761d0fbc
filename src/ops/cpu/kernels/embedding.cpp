#include "ops/cpu/kernels/tables.h"

namespace nanochat::cpu::NC_ISA {
namespace {

template <typename W, typename Y>
void embedding(const void* w_bytes, const int32_t* ids, void* y_bytes, int64_t n_rows, int64_t C) {
  const W* w = static_cast<const W*>(w_bytes);
  Y* y = static_cast<Y*>(y_bytes);
  for (int64_t row = 0; row < n_rows; ++row) {
    const W* from = w + static_cast<int64_t>(ids[row]) * C;
    Y* to = y + row * C;
    for_vectors(C, [&](int64_t i, auto part) { store_at(to + i, load_at(from + i, part), part); });
  }
}

/// A thread owns columns, not rows: rows with one id meet in one thread, in order, unsorted.
template <typename T>
void embedding_backward(const void* dy_bytes, const int32_t* ids, float* dw, int64_t n_rows,
                        int64_t C, int64_t column_begin, int64_t column_end) {
  for (int64_t row = 0; row < n_rows; ++row) {
    const T* from = static_cast<const T*>(dy_bytes) + row * C + column_begin;
    float* to = dw + static_cast<int64_t>(ids[row]) * C + column_begin;
    for_vectors(column_end - column_begin, [&](int64_t i, auto part) {
      store_at(to + i, load_at(to + i, part) + load_at(from + i, part), part);
    });
  }
}

}  // namespace

constinit const EmbeddingKernels kEmbeddingKernels = {
    .forward = {{embedding<float, float>, embedding<float, bf16>},
                {embedding<bf16, float>, embedding<bf16, bf16>}},
    .backward = {embedding_backward<float>, embedding_backward<bf16>},
};

}  // namespace nanochat::cpu::NC_ISA
