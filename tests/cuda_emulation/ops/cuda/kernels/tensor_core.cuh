/// Stands before the real one in the emulation's include path: the same functions, by what the PTX
/// ISA says of the instructions.
#pragma once

#include <cstdio>
#include <cstdlib>

#include "emulation.h"
#include "ops/cuda/kernels/numbers.cuh"

namespace nanochat::cuda {

namespace internal {

inline void require_alignment(const void* p) {
  if (reinterpret_cast<uintptr_t>(p) % 16 == 0) return;
  std::fprintf(stderr, "CUDA emulation: 16 bytes at an address that is no multiple of 16\n");
  std::abort();
}

/// What lane `from` of the warp has shown, as Ts.
template <typename T>
T shown_by(int set, int from, int i) {
  T x;
  std::memcpy(&x, emulation::warp().shown[set][from] + sizeof(T) * static_cast<size_t>(i),
              sizeof x);
  return x;
}

/// Four 8 x 8 matrices, rows by the addresses of eight lanes each; lane (g, t) gets the elements 2t
/// and 2t + 1 of row g, or with `transposed` of column g.
inline void load_matrices(uint32_t (&r)[4], const void* row, bool transposed) {
  require_alignment(row);
  const int set = emulation::exchange(&row, sizeof row);
  const int g = emulation::lane() / 4, t = emulation::lane() % 4;
  for (int matrix = 0; matrix < 4; ++matrix) {
    uint32_t pair = 0;
    for (int e = 0; e < 2; ++e) {
      const int i = transposed ? 2 * t + e : g, j = transposed ? g : 2 * t + e;
      const auto* elements = shown_by<const uint16_t*>(set, 8 * matrix + i, 0);
      pair |= uint32_t{elements[j]} << (16 * e);
    }
    r[matrix] = pair;
  }
  __syncwarp();  // the rows may be overwritten now
}

template <typename T>
float element_of(uint32_t pair, int i) {
  const auto bits = static_cast<uint16_t>(pair >> (16 * i));
  T x;
  std::memcpy(&x, &bits, sizeof x);
  return widen<float>(x);
}

}  // namespace internal

template <typename T>
void mma(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  const uint32_t mine[6] = {a[0], a[1], a[2], a[3], b0, b1};
  const int set = emulation::exchange(mine, sizeof mine);
  const int g = emulation::lane() / 4, t = emulation::lane() % 4;
  for (int e = 0; e < 4; ++e) {
    const int row = g + e / 2 * 8, column = 2 * t + e % 2;
    for (int k = 0; k < 16; ++k) {
      const int pair = k % 8 / 2;
      const auto a_word =
          internal::shown_by<uint32_t>(set, row % 8 * 4 + pair, row / 8 + k / 8 * 2);
      const auto b_word = internal::shown_by<uint32_t>(set, column * 4 + pair, 4 + k / 8);
      c[e] += internal::element_of<T>(a_word, k % 2) * internal::element_of<T>(b_word, k % 2);
    }
  }
}

inline void ldmatrix(uint32_t (&r)[4], const void* row) { internal::load_matrices(r, row, false); }
inline void ldmatrix_transposed(uint32_t (&r)[4], const void* row) {
  internal::load_matrices(r, row, true);
}

inline void copy_16_bytes(void* shared, const void* global, bool valid) {
  internal::require_alignment(shared);
  internal::require_alignment(global);
  emulation::here().fiber->open_copies.push_back({shared, valid ? global : nullptr});
}
inline void commit_copies() {
  emulation::Fiber& fiber = *emulation::here().fiber;
  fiber.copy_groups.push_back(std::exchange(fiber.open_copies, {}));
}
template <int kPending>
void wait_copies() {
  auto& groups = emulation::here().fiber->copy_groups;
  while (static_cast<int>(groups.size()) > kPending) {
    for (const emulation::Copy& copy : groups.front()) {
      if (copy.from != nullptr) {
        std::memcpy(copy.to, copy.from, 16);
      } else {
        std::memset(copy.to, 0, 16);
      }
    }
    groups.pop_front();
  }
}

}  // namespace nanochat::cuda
