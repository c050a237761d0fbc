/// Operations on rows: embedding, norms, rotary positions, the loss.
#include "ops/cuda/cuda_backend.h"
#include "ops/cuda/tensors.h"

namespace nanochat::cuda {
namespace {

HeadLayout layout_of(const AttentionShape& shape) {
  return {.n_head = static_cast<int32_t>(shape.n_head),
          .n_kv_head = static_cast<int32_t>(shape.n_kv_head),
          .head_dim = static_cast<int32_t>(shape.head_dim)};
}

}  // namespace

void CudaBackend::embedding(const Tensor& w, const Tensor& ids, Tensor& y) {
  launch_embedding(stream(), in(w), ids.data<int32_t>(), out(y), ids.numel(), w.dim(1));
  check_launch("embedding");
}

void CudaBackend::embedding_backward(const Tensor& dy, const Tensor& ids, Tensor& dw) {
  const int64_t N = ids.numel(), C = dw.dim(1), V = dw.dim(0);
  if (N == 0) return;
  const cudaStream_t s = stream();
  void* const scratch = workspace_.get(embedding_backward_scratch_bytes(N, V));
  launch_embedding_backward(s, dy.dtype(), dy.raw(), ids.data<int32_t>(), dw.data<float>(), N, C, V,
                            scratch);
  check_launch("embedding_backward");
}

void CudaBackend::rms_norm(const Tensor& x, Tensor& y, Tensor& rstd, float eps) {
  launch_rms_norm(stream(), x.dtype(), x.raw(), y.raw(), rstd.data<float>(), x.dim(0), x.dim(1),
                  eps);
  check_launch("rms_norm");
}

void CudaBackend::rms_norm_backward(const Tensor& dy, const Tensor& y, const Tensor& rstd,
                                    const Tensor& residual, Tensor& dx) {
  launch_rms_norm_backward(stream(), dy.dtype(), dy.raw(), y.raw(), rstd.data<float>(),
                           residual ? residual.raw() : nullptr, dx.raw(), y.dim(0), y.dim(1));
  check_launch("rms_norm_backward");
}

void CudaBackend::rope_qk_norm(Tensor& qkv, const TokenRuns& runs, const AttentionShape& shape,
                               const Tensor& cos, const Tensor& sin, float gain, float eps,
                               Tensor& rstd) {
  if (runs.n_tokens() == 0) return;
  const cudaStream_t s = stream();
  const RunTable& table = tables_.of(runs);
  launch_rope_qk_norm(s, qkv.dtype(), qkv.raw(), table.runs, table.run_of_row, layout_of(shape),
                      cos.data<float>(), sin.data<float>(), gain, eps, rstd.data<float>(),
                      runs.n_tokens());
  check_launch("rope_qk_norm");
}

void CudaBackend::rope_qk_norm_backward(Tensor& dqkv, const Tensor& qkv, const TokenRuns& runs,
                                        const AttentionShape& shape, const Tensor& cos,
                                        const Tensor& sin, float gain, const Tensor& rstd) {
  if (runs.n_tokens() == 0) return;
  const cudaStream_t s = stream();
  const RunTable& table = tables_.of(runs);
  launch_rope_qk_norm_backward(s, qkv.dtype(), dqkv.raw(), qkv.raw(), table.runs, table.run_of_row,
                               layout_of(shape), cos.data<float>(), sin.data<float>(), gain,
                               rstd.data<float>(), runs.n_tokens());
  check_launch("rope_qk_norm_backward");
}

void CudaBackend::softcap_cross_entropy(Tensor& logits, const Tensor& targets, const Tensor& weight,
                                        float cap, bool with_gradient, Tensor& loss) {
  launch_softcap_cross_entropy(stream(), logits.dtype(), logits.raw(), targets.data<int32_t>(),
                               weight.data<float>(), cap, with_gradient, loss.data<float>(),
                               logits.dim(0), logits.dim(1));
  check_launch("softcap_cross_entropy");
}

}  // namespace nanochat::cuda
