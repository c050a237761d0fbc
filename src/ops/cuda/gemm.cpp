#include "ops/cuda/gemm.h"

#include <array>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <optional>
#include <type_traits>

#include <fmt/format.h>

#include "core/dtype.h"
#include "ops/cuda/status.h"

namespace nanochat::cuda {
namespace {

/// NVIDIA's advice for Hopper is 32 MiB and more; earlier cards need less.
constexpr int64_t kWorkspaceBytes = int64_t{64} << 20;
/// Serving has a shape for every number of rows; when so many have been seen, all are forgotten.
constexpr size_t kMostPlans = 4096;
constexpr int kCandidates = 8;
constexpr int kTimedRuns = 5;

std::optional<cudaDataType_t> type_of(DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return CUDA_R_32F;
    case DType::kBf16:
      return CUDA_R_16BF;
    case DType::kF16:
      return CUDA_R_16F;
    default:
      return std::nullopt;
  }
}

/// The largest power of two up to 16 that divides the addresses of all rows of all matrices:
/// algorithms ask for no more.
uint32_t alignment_of(const void* p, int64_t columns, DType dtype) {
  const auto bits =
      reinterpret_cast<uintptr_t>(p) | static_cast<uintptr_t>(columns * size_of(dtype)) | 16U;
  return static_cast<uint32_t>(bits & (~bits + 1));
}
struct Alignments {
  uint32_t a, b, c;
};
Alignments alignments_of(In a, In b, Out c, const MatmulArguments& m) {
  return {.a = alignment_of(a.data, m.transpose_a ? m.M : m.K, a.dtype),
          .b = alignment_of(b.data, m.transpose_b ? m.K : m.N, b.dtype),
          .c = alignment_of(c.data, m.N, c.dtype)};
}

template <typename T, cublasStatus_t (*kDestroy)(T)>
struct Destroy {
  void operator()(T handle) const noexcept { static_cast<void>(kDestroy(handle)); }
};
template <typename T, cublasStatus_t (*kDestroy)(T)>
using Owned = std::unique_ptr<std::remove_pointer_t<T>, Destroy<T, kDestroy>>;
using Layout = Owned<cublasLtMatrixLayout_t, cublasLtMatrixLayoutDestroy>;
using Product = Owned<cublasLtMatmulDesc_t, cublasLtMatmulDescDestroy>;
using Preference = Owned<cublasLtMatmulPreference_t, cublasLtMatmulPreferenceDestroy>;

/// A row-major [rows, columns] is cuBLAS's column-major [columns, rows].
Layout make_layout(cudaDataType_t type, int64_t rows, int64_t columns, int64_t batch) {
  cublasLtMatrixLayout_t layout = nullptr;
  check(cublasLtMatrixLayoutCreate(&layout, type, static_cast<uint64_t>(columns),
                                   static_cast<uint64_t>(rows), columns),
        "cublasLtMatrixLayoutCreate");
  Layout owned(layout);
  const auto count = static_cast<int32_t>(batch);
  const int64_t stride = rows * columns;
  check(cublasLtMatrixLayoutSetAttribute(layout, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &count,
                                         sizeof count),
        "the batch count");
  check(cublasLtMatrixLayoutSetAttribute(layout, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET,
                                         &stride, sizeof stride),
        "the batch stride");
  return owned;
}

Product make_product(bool transpose_first, bool transpose_second) {
  cublasLtMatmulDesc_t product = nullptr;
  check(cublasLtMatmulDescCreate(&product, CUBLAS_COMPUTE_32F, CUDA_R_32F),
        "cublasLtMatmulDescCreate");
  Product owned(product);
  const cublasOperation_t first = transpose_first ? CUBLAS_OP_T : CUBLAS_OP_N;
  const cublasOperation_t second = transpose_second ? CUBLAS_OP_T : CUBLAS_OP_N;
  check(cublasLtMatmulDescSetAttribute(product, CUBLASLT_MATMUL_DESC_TRANSA, &first, sizeof first),
        "the first transpose");
  check(
      cublasLtMatmulDescSetAttribute(product, CUBLASLT_MATMUL_DESC_TRANSB, &second, sizeof second),
      "the second transpose");
  return owned;
}

class Event {
 public:
  Event() { check(cudaEventCreate(&event_), "cudaEventCreate"); }
  ~Event() { static_cast<void>(cudaEventDestroy(event_)); }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  [[nodiscard]] cudaEvent_t get() const noexcept { return event_; }

 private:
  cudaEvent_t event_ = nullptr;
};

}  // namespace

struct Gemm::Plan {
  Product product;
  Layout first, second, result;
  cublasLtMatmulAlgo_t algorithm{};
  size_t workspace_bytes = 0;

  /// b comes first: c^T = op(b)^T op(a)^T, and what is row-major here is its transpose there.
  cublasStatus_t run(cublasLtHandle_t handle, cudaStream_t stream, In a, In b, const void* c,
                     void* d, float alpha, float beta, void* workspace) const {
    return cublasLtMatmul(handle, product.get(), &alpha, b.data, first.get(), a.data, second.get(),
                          &beta, c, result.get(), d, result.get(), &algorithm, workspace,
                          workspace_bytes, stream);
  }
};

size_t Gemm::HashKey::operator()(const Key& k) const noexcept {
  size_t hash = 0;
  for (const int64_t x : {k.batch, k.M, k.N, k.K, int64_t{k.kind}, int64_t{k.alignment}}) {
    hash = (hash ^ static_cast<size_t>(x)) * 0x9e3779b97f4a7c15U;
    hash ^= hash >> 29U;
  }
  return hash;
}

Gemm::Gemm(int device) : device_(device), workspace_(device) {
  check(cublasLtCreate(&handle_), "cublasLtCreate");
  static_cast<void>(workspace_.get(kWorkspaceBytes));
  if (const char* file = std::getenv("NANOCHAT_CUDA_TUNE"); file != nullptr && *file != '\0') {
    tune_file_ = file;
    cudaDeviceProp properties{};
    check(cudaGetDeviceProperties(&properties, device), "cudaGetDeviceProperties");
    card_ = fmt::format("{}, cuBLASLt {}", properties.name, cublasLtGetVersion());
    read_choices();
  }
}

Gemm::~Gemm() {
  plans_.clear();
  static_cast<void>(cublasLtDestroy(handle_));
}

bool Gemm::run(cudaStream_t stream, In a, In b, Out c, const MatmulArguments& m) {
  if (m.K == 0 || a.dtype != b.dtype) return false;
  Plan* const plan = plan_for(stream, a, b, c, m);
  if (plan == nullptr) return false;
  check(plan->run(handle_, stream, a, b, c.data, c.data, m.alpha, m.beta,
                  workspace_.get(kWorkspaceBytes)),
        "cublasLtMatmul");
  return true;
}

Gemm::Plan* Gemm::plan_for(cudaStream_t stream, In a, In b, Out c, const MatmulArguments& m) {
  const uint32_t kind = static_cast<uint32_t>(a.dtype) | static_cast<uint32_t>(c.dtype) << 4U |
                        static_cast<uint32_t>(m.transpose_a) << 8U |
                        static_cast<uint32_t>(m.transpose_b) << 9U |
                        static_cast<uint32_t>(m.beta == 0) << 10U;
  const Alignments align = alignments_of(a, b, c, m);
  const uint32_t alignment = align.a | align.b << 8U | align.c << 16U;
  const Key key{m.batch, m.M, m.N, m.K, kind, alignment};
  if (const auto found = plans_.find(key); found != plans_.end()) return found->second.get();
  if (plans_.size() >= kMostPlans) plans_.clear();
  return plans_.emplace(key, make_plan(stream, a, b, c, m, key)).first->second.get();
}

std::unique_ptr<Gemm::Plan> Gemm::make_plan(cudaStream_t stream, In a, In b, Out c,
                                            const MatmulArguments& m, const Key& key) {
  const auto in = type_of(a.dtype), out = type_of(c.dtype);
  const bool supported = in && out && (*out == *in || *out == CUDA_R_32F);
  if (!supported || m.batch > std::numeric_limits<int32_t>::max()) return nullptr;
  auto plan = std::make_unique<Plan>();
  plan->product = make_product(m.transpose_b, m.transpose_a);
  plan->first =
      m.transpose_b ? make_layout(*in, m.N, m.K, m.batch) : make_layout(*in, m.K, m.N, m.batch);
  plan->second =
      m.transpose_a ? make_layout(*in, m.K, m.M, m.batch) : make_layout(*in, m.M, m.K, m.batch);
  plan->result = make_layout(*out, m.M, m.N, m.batch);

  cublasLtMatmulPreference_t preference = nullptr;
  check(cublasLtMatmulPreferenceCreate(&preference), "cublasLtMatmulPreferenceCreate");
  const Preference owned(preference);
  const auto prefer = [&](cublasLtMatmulPreferenceAttributes_t attribute, auto value) {
    check(cublasLtMatmulPreferenceSetAttribute(preference, attribute, &value, sizeof value),
          "cublasLtMatmulPreferenceSetAttribute");
  };
  prefer(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, static_cast<uint64_t>(kWorkspaceBytes));
  const Alignments align = alignments_of(a, b, c, m);
  prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, align.b);
  prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, align.a);
  prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, align.c);
  prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, align.c);
  // A product that is cut along K is added up in f32: the other schemes round each part to c's
  // dtype.
  prefer(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
         static_cast<uint32_t>(CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE));

  std::array<cublasLtMatmulHeuristicResult_t, kCandidates> candidates{};
  int n = 0;
  const cublasStatus_t status = cublasLtMatmulAlgoGetHeuristic(
      handle_, plan->product.get(), plan->first.get(), plan->second.get(), plan->result.get(),
      plan->result.get(), preference, tune_file_.empty() ? 1 : kCandidates, candidates.data(), &n);
  if (status == CUBLAS_STATUS_NOT_SUPPORTED || n == 0) return nullptr;
  check(status, "cublasLtMatmulAlgoGetHeuristic");
  const auto take = [&](int i) {
    const auto& candidate = candidates[static_cast<size_t>(i)];
    plan->algorithm = candidate.algo;
    plan->workspace_bytes = candidate.workspaceSize;
    return candidate.state == CUBLAS_STATUS_SUCCESS;
  };
  int first_good = 0;
  while (first_good < n && !take(first_good)) ++first_good;
  if (first_good == n) return nullptr;
  if (tune_file_.empty() || n == 1) return plan;

  const std::string name =
      fmt::format("{} {} {} {} {:x} {:x}", key.batch, key.M, key.N, key.K, key.kind, key.alignment);
  if (const auto known = choices_.find(name); known != choices_.end()) {
    if (known->second < n && take(known->second)) return plan;
    static_cast<void>(take(first_good));
    return plan;
  }
  // Results go into memory of their own: with beta, c must still be what it was.
  Workspace scratch(device_);
  void* const d = scratch.get(m.batch * m.M * m.N * size_of(c.dtype));
  const Event begin, end;
  int best = first_good;
  float best_ms = std::numeric_limits<float>::infinity();
  for (int i = first_good; i < n; ++i) {
    if (!take(i)) continue;
    const auto once = [&] {
      return plan->run(handle_, stream, a, b, c.data, d, m.alpha, m.beta,
                       workspace_.get(kWorkspaceBytes)) == CUBLAS_STATUS_SUCCESS;
    };
    if (!once()) continue;
    check(cudaEventRecord(begin.get(), stream), "cudaEventRecord");
    for (int run = 0; run < kTimedRuns; ++run) static_cast<void>(once());
    check(cudaEventRecord(end.get(), stream), "cudaEventRecord");
    check(cudaEventSynchronize(end.get()), "a product that was timed");
    float ms = 0;
    check(cudaEventElapsedTime(&ms, begin.get(), end.get()), "cudaEventElapsedTime");
    if (ms < best_ms) {
      best_ms = ms;
      best = i;
    }
  }
  static_cast<void>(take(best));
  keep_choice(name, best);
  return plan;
}

// The file has one line per choice: "<card>|<product>|<candidate>".

void Gemm::read_choices() {
  std::ifstream file(tune_file_);
  std::string line;
  while (std::getline(file, line)) {
    const size_t first = line.find('|'), last = line.rfind('|');
    if (first == std::string::npos || last == first || line.compare(0, first, card_) != 0) continue;
    choices_[line.substr(first + 1, last - first - 1)] = std::atoi(line.c_str() + last + 1);
  }
}

void Gemm::keep_choice(const std::string& name, int choice) {
  choices_[name] = choice;
  std::ofstream file(tune_file_, std::ios::app);
  file << fmt::format("{}|{}|{}\n", card_, name, choice);
  if (!file.flush()) throw IoError("cannot write {}: unset NANOCHAT_CUDA_TUNE", tune_file_);
}

}  // namespace nanochat::cuda
