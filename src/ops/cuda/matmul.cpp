#include "ops/cuda/cuda_backend.h"
#include "ops/cuda/tensors.h"

namespace nanochat::cuda {

void CudaBackend::matmul(const Tensor& a, bool transpose_a, const Tensor& b, bool transpose_b,
                         Tensor& c, float alpha, float beta, Epilogue epilogue) {
  if (c.numel() == 0) return;
  const cudaStream_t s = stream();
  const bool squares = epilogue == Epilogue::kReluSquared;
  const MatmulArguments m{.batch = c.rank() == 3 ? c.dim(0) : 1,
                          .M = c.dim(-2),
                          .N = c.dim(-1),
                          .K = a.dim(transpose_a ? -2 : -1),
                          .transpose_a = transpose_a,
                          .transpose_b = transpose_b,
                          .alpha = alpha,
                          .beta = beta,
                          .relu_squared = squares};
  if (gemm_.run(s, in(a), in(b), out(c), m)) {
    // cuBLAS has no such epilogue. The product is rounded once more than need be.
    if (squares) launch_relu_squared(s, in(c), out(c), c.numel());
  } else {
    launch_simple_matmul(s, in(a), in(b), out(c), m);
  }
  check_launch("matmul");
}

void CudaBackend::matmul_packed(const Tensor& x, const PackedWeights& w, Tensor& y,
                                Epilogue epilogue) {
  const PackedFormat format = w.format == WeightFormat::kF32    ? PackedFormat::kF32
                              : w.format == WeightFormat::kBf16 ? PackedFormat::kBf16
                                                                : PackedFormat::kInt8;
  launch_packed_matmul(stream(), in(x), format, w.data.raw(),
                       w.scales ? w.scales.data<float>() : nullptr, out(y), x.dim(0), w.in, w.out,
                       epilogue == Epilogue::kReluSquared);
  check_launch("matmul_packed");
}

}  // namespace nanochat::cuda
