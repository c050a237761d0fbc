/// Sums in double: products of two floats are exact there.
#include "ops/cpu/kernels/tables.h"

namespace nanochat::cpu::NC_ISA {
namespace {

inline constexpr int kHalf = kLanes / 2;
typedef double F64 __attribute__((vector_size(kHalf * 8)));
typedef float HalfF32 __attribute__((vector_size(kHalf * 4)));

/// A vector of floats as two of doubles.
struct Wide {
  F64 low, high;
};
NC_INLINE Wide widen(F32 x) {
  HalfF32 halves[2];
  memcpy(halves, &x, sizeof x);
  return {__builtin_convertvector(halves[0], F64), __builtin_convertvector(halves[1], F64)};
}

template <typename A, typename B>
double dot(const void* a_bytes, const void* b_bytes, int64_t n) {
  const A* a = static_cast<const A*>(a_bytes);
  const B* b = static_cast<const B*>(b_bytes);
  F64 low = {}, high = {};
  for_vectors(n, [&](int64_t i, auto part) {
    const Wide x = widen(load_at(a + i, part)), y = widen(load_at(b + i, part));
    low += x.low * y.low;
    high += x.high * y.high;
  });
  low += high;
  double sum = 0;
  for (int i = 0; i < kHalf; ++i) sum += low[i];
  return sum;
}

}  // namespace

constinit const ReductionKernels kReductionKernels = {
    .dot = {{dot<float, float>, dot<float, bf16>}, {dot<bf16, float>, dot<bf16, bf16>}},
};

}  // namespace nanochat::cpu::NC_ISA
