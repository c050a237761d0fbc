/// A CUDA device played by one thread of the host, so that the kernels of ops/cuda can be tested
/// where there is no GPU. It is slow, and stands in for the compiler's and the card's semantics as
/// the PTX ISA has them, not for the card: no timing, no memory model, one block after the other.
///
/// Every CUDA thread is a fiber that runs until it meets others: at a barrier of the block, or
/// where a warp exchanges values. What the card may do late happens as late as it may: a copy of
/// cp.async is made when it is waited for. Shared memory begins as NaN.
/// $NANOCHAT_EMULATION_REVERSE=1 runs the threads of a block in the opposite order: a missing
/// barrier shows as another result. Aborts where the card would hang or fault: a barrier that not
/// all reach, a misaligned ldmatrix, copies that nobody waits for.
///
/// The kernels' files become C++ by as_cpp.py, which includes this before everything else.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <deque>
#include <functional>
#include <vector>

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

namespace nanochat::emulation {

struct Copy {
  void* to;
  const void* from;  ///< null: zeros
};

struct Fiber {
  void* stack_pointer = nullptr;
  std::vector<char> stack{};
  bool done = true;
  int index = 0;
  uint3 thread_index{};
  unsigned exchanges = 0;           ///< so far
  std::vector<Copy> open_copies{};  ///< of cp.async, not committed yet
  std::deque<std::vector<Copy>> copy_groups{};
};

/// What the lanes of a warp show each other. Two sets in turn: a lane that is ahead writes into the
/// other one.
struct Warp {
  alignas(16) unsigned char shown[2][32][32];
  int live = 0, arrived = 0;
  unsigned round = 0;
};

struct Place {
  Fiber* fiber = nullptr;
  uint3 block_index{};
  dim3 block_size{}, grid_size{};
};
/// The CUDA thread that runs.
[[nodiscard]] Place& here();
[[nodiscard]] Warp& warp();
[[nodiscard]] inline int lane() { return here().fiber->index % 32; }

[[nodiscard]] char* dynamic_shared_memory();
void synchronize_block();
/// Shows n <= 32 bytes to the warp and waits until all lanes have shown theirs. Returns which set
/// of Warp::shown to read, before the next call.
int exchange(const void* bytes, size_t n);

void run_grid(dim3 grid, dim3 block, const std::function<void()>& thread);

/// kernel<<<grid, block, bytes, stream>>>(arguments)
template <typename Kernel>
auto launch(dim3 grid, dim3 block, size_t /*shared_bytes*/, cudaStream_t /*stream*/,
            Kernel kernel) {
  return [=](auto... arguments) { run_grid(grid, block, [&] { kernel(arguments...); }); };
}

template <typename T>
T read_lane(T mine, int from) {
  const int set = exchange(&mine, sizeof mine);
  T theirs;
  std::memcpy(&theirs, warp().shown[set][from % 32], sizeof theirs);
  return theirs;
}

}  // namespace nanochat::emulation

// ---- CUDA's words ------------------------------------------------------------------------------

#undef __global__
#undef __device__
#undef __host__
#undef __shared__
#undef __launch_bounds__
#undef __forceinline__
#define __global__
#define __device__
#define __host__
#define __shared__ static  // of the one block that runs
#define __launch_bounds__(...)
#define __forceinline__ inline
#define threadIdx (::nanochat::emulation::here().fiber->thread_index)
#define blockIdx (::nanochat::emulation::here().block_index)
#define blockDim (::nanochat::emulation::here().block_size)
#define gridDim (::nanochat::emulation::here().grid_size)

using std::isfinite;
using std::min;
using std::sqrt;

inline void __syncthreads() { ::nanochat::emulation::synchronize_block(); }
inline void __syncwarp() {
  const char nothing = 0;
  ::nanochat::emulation::exchange(&nothing, 1);
}
template <typename T>
T __shfl_sync(unsigned /*mask*/, T x, int from) {
  return ::nanochat::emulation::read_lane(x, from);
}
template <typename T>
T __shfl_xor_sync(unsigned /*mask*/, T x, int bits) {
  return ::nanochat::emulation::read_lane(x, ::nanochat::emulation::lane() ^ bits);
}
template <typename T>
T __shfl_down_sync(unsigned /*mask*/, T x, int distance) {
  const int from = ::nanochat::emulation::lane() + distance;
  return ::nanochat::emulation::read_lane(x, from < 32 ? from : ::nanochat::emulation::lane());
}
inline float __uint_as_float(unsigned bits) {
  float x;
  std::memcpy(&x, &bits, sizeof x);
  return x;
}
inline unsigned __float_as_uint(float x) {
  unsigned bits;
  std::memcpy(&bits, &x, sizeof bits);
  return bits;
}
inline float __fdividef(float a, float b) { return a / b; }
#undef __expf
#define __expf(x) expf(x)
