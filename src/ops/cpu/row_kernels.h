/// The serial kernels of the cpu backend, as tables of functions: one table per instruction set.
///
/// Each works on a range of elements or rows; CpuBackend cuts the ranges, checks nothing and owns
/// the threads. Maths and aliasing are those of ops/backend.h. A table is indexed by storage type:
/// f[kF32], f[kBf16], or f[type of x][type of y]. Pointers are void so that both fit one table.
#pragma once

#include <stdint.h>

namespace nanochat::cpu {

enum StorageType : int { kF32 = 0, kBf16 = 1 };
inline constexpr int kStorageTypes = 2;

struct ElementwiseKernels {
  void (*add[kStorageTypes])(const void* a, const void* b, void* y, int64_t n);
  void (*axpby[kStorageTypes][kStorageTypes])(float a, const void* x, float b, void* y, int64_t n);
  void (*sign[kStorageTypes])(const void* x, void* y, int64_t n);
  void (*relu_squared[kStorageTypes])(const void* x, void* y, int64_t n);
  void (*relu_squared_backward[kStorageTypes])(const void* dy, const void* y, void* dx, int64_t n);
  void (*softcap[kStorageTypes][kStorageTypes])(const void* x, float cap, void* y, int64_t n);
  /// The diagonal is empty: that is a copy.
  void (*cast[kStorageTypes][kStorageTypes])(const void* x, void* y, int64_t n);
  /// x *= factor.
  void (*scale[kStorageTypes])(void* x, float factor, int64_t n);
};

struct NormKernels {
  void (*rms_norm[kStorageTypes])(const void* x, void* y, float* rstd, int64_t n_rows, int64_t C,
                                  float eps);
  /// residual may be null.
  void (*rms_norm_backward[kStorageTypes])(const void* dy, const void* y, const float* rstd,
                                           const void* residual, void* dx, int64_t n_rows,
                                           int64_t C);
};

/// Rows of one run, at consecutive positions: cos and sin point at the first one's row.
struct RopeArgs {
  int64_t n_rows;
  int64_t n_heads;  ///< query and key heads: what is turned
  int64_t head_dim;
  int64_t row_stride;  ///< columns of qkv
  const float* cos;
  const float* sin;
  float gain;
  float eps;
};
struct RopeKernels {
  void (*rope_qk_norm[kStorageTypes])(void* qkv, float* rstd, const RopeArgs& args);
  void (*rope_qk_norm_backward[kStorageTypes])(void* dqkv, const void* qkv, const float* rstd,
                                               const RopeArgs& args);
};

struct CrossEntropyKernels {
  /// One row of V logits. scratch: V floats. Returns the loss; NaN when any logit is not finite.
  float (*row[kStorageTypes])(void* logits, int64_t V, int32_t target, float weight, float cap,
                              bool with_gradient, float* scratch);
};

struct EmbeddingKernels {
  /// [type of w][type of y]
  void (*forward[kStorageTypes][kStorageTypes])(const void* w, const int32_t* ids, void* y,
                                                int64_t n_rows, int64_t C);
  /// Columns [column_begin, column_end) of all rows, in order.
  void (*backward[kStorageTypes])(const void* dy, const int32_t* ids, float* dw, int64_t n_rows,
                                  int64_t C, int64_t column_begin, int64_t column_end);
};

struct ReductionKernels {
  /// sum a[i] b[i] in double, always added up in the same order.
  double (*dot[kStorageTypes][kStorageTypes])(const void* a, const void* b, int64_t n);
};

/// AdamWParams with the step's constants worked out.
struct AdamWStep {
  float grad_scale;
  float decay;  ///< 1 - lr wd
  float one_minus_beta1;
  float beta2;
  float one_minus_beta2;
  float step_size;             ///< lr / (1 - b1^t)
  float inv_sqrt_correction2;  ///< 1 / sqrt(1 - b2^t)
  float eps;
};
struct OptimKernels {
  void (*adamw)(float* p, const float* g, float* m, float* v, const AdamWStep& step, int64_t n);
  void (*nesterov[kStorageTypes])(const float* g, float* m, float grad_scale, float mu, void* u,
                                  int64_t n);
};

/// One block of c = epilogue(alpha a b + beta c). Element (i, k) of a lies at a[i * a_row + k *
/// a_column], likewise b; c has rows of c_row elements.
struct GemmBlock {
  const void* a;
  int64_t a_row, a_column;
  const void* b;
  int64_t b_row, b_column;
  void* c;
  int64_t c_row;
  int64_t m, n, k;  ///< m <= kGemmRows, n <= kGemmColumns
  float alpha, beta;
  bool relu_squared;
};
inline constexpr int64_t kGemmRows = 64;
inline constexpr int64_t kGemmColumns = 128;
inline constexpr int64_t kGemmDepth = 256;
/// Floats of scratch that a block needs: a packed panel of a, one of b, and the sums.
inline constexpr int64_t kGemmScratch =
    kGemmRows * kGemmDepth + kGemmDepth * kGemmColumns + kGemmRows * kGemmColumns;
struct GemmKernels {
  /// [type of a and b][type of c]. scratch: kGemmScratch floats, 64-byte aligned.
  void (*block[kStorageTypes][kStorageTypes])(const GemmBlock& block, float* scratch);
};

/// Some panels of a product with packed weights (ops/packed_weights.h): y [rows, out] = x W^T.
struct PackedItem {
  const void* x;     ///< [rows][x_stride] words, as `prepare` made them
  int64_t x_stride;  ///< words
  int64_t rows;
  int64_t steps;  ///< words along k
  const void* panels;
  int64_t panel_bytes;
  const float* scales;  ///< of each output; null: none
  void* y;              ///< row 0
  int64_t out;
  int64_t panel_begin, panel_end;
  bool relu_squared;
};
struct PackedKernels {
  struct Format {
    /// x [rows, in] to words, zeros up to `stride`.
    void (*prepare)(const void* x, int64_t rows, int64_t in, void* words, int64_t stride);
    void (*multiply[kStorageTypes])(const PackedItem& item);  ///< [type of y]
    int64_t elements_per_word;
  };
  Format of[3][kStorageTypes];  ///< [WeightFormat][type of x]
  int64_t tile_rows;
};

struct RowKernels {
  const ElementwiseKernels& elementwise;
  const NormKernels& norm;
  const RopeKernels& rope;
  const CrossEntropyKernels& cross_entropy;
  const EmbeddingKernels& embedding;
  const ReductionKernels& reductions;
  const OptimKernels& optim;
  const GemmKernels& gemm;
  const PackedKernels& packed;
};

namespace portable {
[[nodiscard]] const RowKernels& row_kernels();
}
#ifdef NC_X86_64
namespace avx2 {
[[nodiscard]] const RowKernels& row_kernels();
}
namespace avx512_bf16 {
[[nodiscard]] const RowKernels& row_kernels();
}
#endif

}  // namespace nanochat::cpu
