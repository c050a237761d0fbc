#include "ops/cuda/cuda_backend.h"

#include <fmt/format.h>

#include "ops/cuda/status.h"
#include "ops/cuda/tensors.h"

namespace nanochat::cuda {
namespace {

cudaStream_t make_stream(int device) {
  check(cudaSetDevice(device), "cudaSetDevice");
  cudaStream_t stream = nullptr;
  check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "cudaStreamCreate");
  return stream;
}

int64_t attribute_of(int device, cudaDeviceAttr attribute) {
  int value = 0;
  if (cudaDeviceGetAttribute(&value, attribute, device) != cudaSuccess) {
    static_cast<void>(cudaGetLastError());
    return 0;
  }
  return value;
}

}  // namespace

CudaInventory make_inventory() {
  CudaInventory found;
  static_cast<void>(cudaRuntimeGetVersion(&found.runtime_version));
  static_cast<void>(cudaDriverGetVersion(&found.driver_version));
  int n = 0;
  const cudaError_t status = cudaGetDeviceCount(&n);
  if (status != cudaSuccess) {
    static_cast<void>(cudaGetLastError());
    found.problem =
        found.driver_version == 0 ? "no NVIDIA driver is loaded" : cudaGetErrorString(status);
    return found;
  }
  for (int i = 0; i < n; ++i) {
    cudaDeviceProp p{};
    if (cudaGetDeviceProperties(&p, i) != cudaSuccess) {
      static_cast<void>(cudaGetLastError());
      break;
    }
    // Two transfers per clock; the clock is in kHz, the bus in bits.
    const int64_t bandwidth = 2 * 1000 / 8 * attribute_of(i, cudaDevAttrMemoryClockRate) *
                              attribute_of(i, cudaDevAttrGlobalMemoryBusWidth);
    found.devices.push_back({.name = p.name,
                             .major = p.major,
                             .minor = p.minor,
                             .multiprocessors = p.multiProcessorCount,
                             .memory_bytes = static_cast<int64_t>(p.totalGlobalMem),
                             .memory_bytes_per_second = bandwidth});
  }
  if (found.devices.empty()) found.problem = "no GPU was found";
  return found;
}

CudaBackend::CudaBackend(int index, const CudaDevice& device)
    : index_(index),
      description_(fmt::format("{}, compute capability {}.{}, cuBLASLt {}", device.name,
                               device.major, device.minor, cublasLtGetVersion())),
      stream_(make_stream(index)),
      allocator_(index),
      workspace_(index),
      uploader_(stream_),
      tables_(index, stream_, uploader_),
      gemm_(index) {
  if (device.major < 8) {
    throw DeviceError("{} has compute capability {}.{}: 8.0 (A100) or later is needed", device.name,
                      device.major, device.minor);
  }
}

CudaBackend::~CudaBackend() { static_cast<void>(cudaStreamSynchronize(stream_)); }

cudaStream_t CudaBackend::stream() const {
  check(cudaSetDevice(index_), "cudaSetDevice");
  return stream_;
}

void CudaBackend::synchronize() {
  check(cudaStreamSynchronize(stream()), "an operation before synchronize()");
}

int64_t CudaBackend::workspace_bytes() const noexcept {
  return workspace_.size_bytes() + tables_.size_bytes() + gemm_.workspace_bytes();
}

void CudaBackend::zero(Tensor& y) {
  if (y.numel() == 0) return;
  check(cudaMemsetAsync(y.raw(), 0, static_cast<size_t>(y.size_bytes()), stream()), "zero");
}

void CudaBackend::copy(const Tensor& x, Tensor& y) {
  if (y.numel() == 0) return;
  const cudaStream_t s = stream();
  if (!is_on_gpu(x) && is_on_gpu(y)) {
    uploader_.upload(x.raw(), y.raw(), y.size_bytes());
    return;
  }
  // To pageable memory the driver returns when the bytes are there, which is allowed.
  check(
      cudaMemcpyAsync(y.raw(), x.raw(), static_cast<size_t>(y.size_bytes()), cudaMemcpyDefault, s),
      "copy");
}

void CudaBackend::cast(const Tensor& x, Tensor& y) {
  if (y.numel() == 0) return;
  const cudaStream_t s = stream();
  In from = in(x);
  if (!is_on_gpu(x)) {
    void* const memory = workspace_.get(x.size_bytes());
    uploader_.upload(x.raw(), memory, x.size_bytes());
    from.data = memory;
  }
  launch_cast(s, from, out(y), y.numel());
  check_launch("cast");
}

}  // namespace nanochat::cuda
