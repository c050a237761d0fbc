#include "ops/cpu/cpu_backend.h"

#include <cstring>

#include "ops/cpu/attention.h"
#include "ops/cpu/ranges.h"

namespace nanochat::cpu {
namespace {

const RowKernels& row_kernels_of(Isa isa) {
#ifdef NC_X86_64
  if (isa == Isa::kAvx512Bf16) return avx512_bf16::row_kernels();
  if (isa == Isa::kAvx2) return avx2::row_kernels();
#endif
  NC_CHECK(isa == Isa::kPortable, "no kernels for {}", name_of(isa));
  return portable::row_kernels();
}

/// "portable" means our own loops everywhere, so that its tests prove what a machine without oneDNN
/// runs.
std::unique_ptr<Gemm> make_gemm(Isa isa, const RowKernels& kernels) {
#ifdef NC_ONEDNN
  if (isa != Isa::kPortable) return make_onednn_gemm(isa == Isa::kAvx512Bf16, kernels.elementwise);
#else
  static_cast<void>(isa);
#endif
  return make_portable_gemm(kernels.gemm);
}

}  // namespace

CpuBackend::CpuBackend(Isa isa)
    : isa_(isa),
      kernels_(row_kernels_of(isa)),
      attention_kernels_(cpu::attention_kernels(isa)),
      gemm_(make_gemm(isa, kernels_)) {}

std::string CpuBackend::description() const {
  return fmt::format("{}, {}", name_of(isa_), gemm_->description());
}

DType CpuBackend::preferred_dtype() const noexcept {
  return gemm_->has_bf16() ? DType::kBf16 : DType::kF32;
}

bool CpuBackend::supports(DType act) const noexcept {
  return act == DType::kF32 || act == DType::kBf16;
}

void CpuBackend::zero(Tensor& y) {
  for_elements(y.size_bytes(), [&](int64_t begin, int64_t count) {
    std::memset(static_cast<char*>(y.raw()) + begin, 0, static_cast<size_t>(count));
  });
}

void CpuBackend::copy(const Tensor& x, Tensor& y) {
  for_elements(y.size_bytes(), [&](int64_t begin, int64_t count) {
    std::memcpy(static_cast<char*>(y.raw()) + begin, static_cast<const char*>(x.raw()) + begin,
                static_cast<size_t>(count));
  });
}

void CpuBackend::attention(const Tensor& qkv, const TokenRuns& runs, const AttentionShape& shape,
                           Tensor& out, Tensor& lse) {
  cpu::attention(attention_kernels_, qkv, runs, shape, out, lse, workspace_);
}

void CpuBackend::attention_backward(const Tensor& dout, const Tensor& qkv, const Tensor& out,
                                    const Tensor& lse, const TokenRuns& runs,
                                    const AttentionShape& shape, Tensor& dqkv) {
  cpu::attention_backward(attention_kernels_, dout, qkv, out, lse, runs, shape, dqkv, workspace_);
}

void CpuBackend::kv_cache_append(const Tensor& qkv, const TokenRuns& runs,
                                 const AttentionShape& shape, KvCache& cache) {
  cpu::kv_cache_append(attention_kernels_, qkv, runs, shape, cache);
}

void CpuBackend::attention_cached(const Tensor& qkv, const KvCache& cache, const TokenRuns& runs,
                                  const AttentionShape& shape, Tensor& out) {
  cpu::attention_cached(attention_kernels_, qkv, cache, runs, shape, out, workspace_);
}

}  // namespace nanochat::cpu

namespace nanochat {

Backend& cpu_backend() {
  static cpu::CpuBackend backend(cpu::chosen_isa());
  return backend;
}

std::unique_ptr<Backend> make_cpu_backend(std::string_view isa) {
  return std::make_unique<cpu::CpuBackend>(cpu::parse_isa(isa));
}

}  // namespace nanochat
