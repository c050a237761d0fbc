/// Matrix products by cuBLASLt: descriptors and algorithm are found once per kind of product.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>

#include <cublasLt.h>
#include <cuda_runtime_api.h>

#include "ops/cuda/kernels/launch.h"
#include "ops/cuda/memory.h"

namespace nanochat::cuda {

/// The algorithm is the first that cuBLAS's heuristics name, which is the same in every run, so
/// that runs repeat to the bit. With $NANOCHAT_CUDA_TUNE=FILE the first few are timed and the
/// fastest is taken; choices are kept in that file, per card and version of cuBLAS, so that a
/// second run with the same file repeats the first.
class Gemm {
 public:
  explicit Gemm(int device);
  ~Gemm();
  Gemm(const Gemm&) = delete;
  Gemm& operator=(const Gemm&) = delete;

  /// c = alpha op(a) op(b) + beta c (m.relu_squared is not looked at). False, with nothing done,
  /// when cuBLAS does not take it: mixtures of dtypes, K = 0. No extent of c is 0.
  [[nodiscard]] bool run(cudaStream_t stream, In a, In b, Out c, const MatmulArguments& m);
  [[nodiscard]] int64_t workspace_bytes() const noexcept { return workspace_.size_bytes(); }

 private:
  struct Key {
    int64_t batch, M, N, K;
    uint32_t kind;       // dtypes, transposes, whether beta is 0
    uint32_t alignment;  // of the three pointers
    friend bool operator==(const Key&, const Key&) = default;
  };
  struct HashKey {
    size_t operator()(const Key& k) const noexcept;
  };
  struct Plan;
  [[nodiscard]] Plan* plan_for(cudaStream_t stream, In a, In b, Out c, const MatmulArguments& m);
  [[nodiscard]] std::unique_ptr<Plan> make_plan(cudaStream_t stream, In a, In b, Out c,
                                                const MatmulArguments& m, const Key& key);
  void read_choices();
  void keep_choice(const std::string& name, int choice);

  int device_;
  cublasLtHandle_t handle_ = nullptr;
  Workspace workspace_;
  std::unordered_map<Key, std::unique_ptr<Plan>, HashKey> plans_;  // null: cuBLAS does not take it
  std::string tune_file_, card_;
  std::unordered_map<std::string, int> choices_;  // which of the heuristics' candidates
};

}  // namespace nanochat::cuda
