/// Matrix products behind one interface: oneDNN's, or our own loops.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "core/dtype.h"
#include "ops/cpu/row_kernels.h"
#include "ops/cpu/workspace.h"

namespace nanochat::cpu {

/// c = epilogue(alpha op(a) op(b) + beta c) for a batch of row-major matrices that follow one
/// another; op(a) [M, K], op(b) [K, N], c [M, N]. beta == 0 ignores what c held.
struct GemmShape {
  int64_t batch = 1, M = 0, N = 0, K = 0;
  bool transpose_a = false, transpose_b = false;
  DType in = DType::kF32;   ///< a and b: f32 or bf16
  DType out = DType::kF32;  ///< c: f32 or bf16
  float alpha = 1, beta = 0;
  bool relu_squared = false;

  friend bool operator==(const GemmShape&, const GemmShape&) = default;
};

class Gemm {
 public:
  virtual ~Gemm() = default;
  /// Nothing is empty, K included. Allocates nothing for a shape it has met. Not thread-safe.
  virtual void run(const GemmShape& shape, const void* a, const void* b, void* c) = 0;
  /// "oneDNN 2.6.3".
  [[nodiscard]] virtual std::string description() const = 0;
  /// True when bf16 operands are multiplied as such, at a profit.
  [[nodiscard]] virtual bool has_bf16() const noexcept = 0;
  [[nodiscard]] virtual int64_t workspace_bytes() const noexcept = 0;
};

/// Our own: any shape, any transpose, on any CPU.
[[nodiscard]] std::unique_ptr<Gemm> make_portable_gemm(const GemmKernels& kernels);

#ifdef NC_ONEDNN
/// oneDNN's. bf16 operands go to its bf16 kernels if allow_bf16 and it finds the instructions; else
/// they are widened with `elementwise` and multiplied as f32. Throws DeviceError.
[[nodiscard]] std::unique_ptr<Gemm> make_onednn_gemm(bool allow_bf16,
                                                     const ElementwiseKernels& elementwise);
#endif

}  // namespace nanochat::cpu
