/// Looking tokens up in a table.
///
/// An embedding is a matrix product with a matrix of one-hot rows: y = onehot(ids) w. So its
/// backward is dw = onehot(ids)^T dy, which gathers into each row of the table the gradients of all
/// tokens that looked at it. The product itself would be nearly all zeros; nobody forms it.
#include "ops/reference/numbers.h"
#include "ops/reference/reference_backend.h"

namespace nanochat::reference {

void ReferenceBackend::embedding(const Tensor& w, const Tensor& ids, Tensor& y) {
  const int64_t C = w.dim(1);
  const int32_t* id = ids.data<int32_t>();
  dispatch_floats(w.dtype(), y.dtype(), [&](auto w_tag, auto y_tag) {
    using W = typename decltype(w_tag)::type;
    using Y = typename decltype(y_tag)::type;
    for (int64_t n = 0; n < ids.numel(); ++n) {
      const W* row = w.data<W>() + id[n] * C;  // (C)
      Y* out = y.data<Y>() + n * C;            // (C)
      for (int64_t c = 0; c < C; ++c) out[c] = round_to<Y>(widen(row[c]));
    }
  });
}

void ReferenceBackend::embedding_backward(const Tensor& dy, const Tensor& ids, Tensor& dw) {
  const int64_t C = dw.dim(1);
  const int32_t* id = ids.data<int32_t>();
  dispatch_floats(dy.dtype(), dw.dtype(), [&](auto dy_tag, auto dw_tag) {
    using Dy = typename decltype(dy_tag)::type;
    using Dw = typename decltype(dw_tag)::type;
    for (int64_t n = 0; n < ids.numel(); ++n) {
      const Dy* gradient = dy.data<Dy>() + n * C;  // (C)
      Dw* row = dw.data<Dw>() + id[n] * C;         // (C)
      for (int64_t c = 0; c < C; ++c) {
        row[c] = round_to<Dw>(widen(row[c]) + widen(gradient[c]));  // +=: an id may come again
      }
    }
  });
}

}  // namespace nanochat::reference
