/// Element by element; all bound by memory. Operands that a contract lets overlap are read before
/// the same element is written.
#include "ops/cpu/kernels/tables.h"

namespace nanochat::cpu::NC_ISA {
namespace {

template <typename T>
void add(const void* a_bytes, const void* b_bytes, void* y_bytes, int64_t n) {
  const T* a = static_cast<const T*>(a_bytes);
  const T* b = static_cast<const T*>(b_bytes);
  T* y = static_cast<T*>(y_bytes);
  for_vectors(n, [&](int64_t i, auto part) {
    store_at(y + i, load_at(a + i, part) + load_at(b + i, part), part);
  });
}

template <typename X, typename Y>
void axpby(float a, const void* x_bytes, float b, void* y_bytes, int64_t n) {
  const X* x = static_cast<const X*>(x_bytes);
  Y* y = static_cast<Y*>(y_bytes);
  const F32 va = set1(a), vb = set1(b);
  if (b == 0) {  // y may hold NaN
    for_vectors(n, [&](int64_t i, auto part) { store_at(y + i, va * load_at(x + i, part), part); });
    return;
  }
  for_vectors(n, [&](int64_t i, auto part) {
    store_at(y + i, fma(va, load_at(x + i, part), vb * load_at(y + i, part)), part);
  });
}

template <typename T>
void sign(const void* x_bytes, void* y_bytes, int64_t n) {
  const T* x = static_cast<const T*>(x_bytes);
  T* y = static_cast<T*>(y_bytes);
  for_vectors(n, [&](int64_t i, auto part) {
    const F32 v = load_at(x + i, part);
    const F32 positive = select(v > zero(), set1(1), zero());
    store_at(y + i, select(v < zero(), set1(-1), positive), part);
  });
}

template <typename T>
void relu_squared(const void* x_bytes, void* y_bytes, int64_t n) {
  const T* x = static_cast<const T*>(x_bytes);
  T* y = static_cast<T*>(y_bytes);
  for_vectors(n, [&](int64_t i, auto part) {
    const F32 v = max(zero(), load_at(x + i, part));  // this order lets a NaN through
    store_at(y + i, v * v, part);
  });
}

template <typename T>
void relu_squared_backward(const void* dy_bytes, const void* y_bytes, void* dx_bytes, int64_t n) {
  const T* dy = static_cast<const T*>(dy_bytes);
  const T* y = static_cast<const T*>(y_bytes);
  T* dx = static_cast<T*>(dx_bytes);
  for_vectors(n, [&](int64_t i, auto part) {
    const F32 v = sqrt(load_at(y + i, part));
    store_at(dx + i, load_at(dy + i, part) * (v + v), part);
  });
}

template <typename X, typename Y>
void softcap(const void* x_bytes, float cap, void* y_bytes, int64_t n) {
  const X* x = static_cast<const X*>(x_bytes);
  Y* y = static_cast<Y*>(y_bytes);
  const F32 vcap = set1(cap);
  for_vectors(n, [&](int64_t i, auto part) {
    store_at(y + i, vcap * tanh(load_at(x + i, part) / vcap), part);
  });
}

void widen(const void* x_bytes, void* y_bytes, int64_t n) {
  const bf16* x = static_cast<const bf16*>(x_bytes);
  float* y = static_cast<float*>(y_bytes);
  for_vectors(n, [&](int64_t i, auto part) { store_at(y + i, load_at(x + i, part), part); });
}

void narrow(const void* x_bytes, void* y_bytes, int64_t n) {
  const float* x = static_cast<const float*>(x_bytes);
  bf16* y = static_cast<bf16*>(y_bytes);
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) store_exact(y + i, load(x + i));
  if (i < n) {
    bf16 rest[kLanes];
    store_exact(rest, load_partial(x + i, static_cast<int>(n - i)));
    memcpy(y + i, rest, static_cast<size_t>(n - i) * sizeof *y);
  }
}

template <typename T>
void scale(void* x_bytes, float factor, int64_t n) {
  T* x = static_cast<T*>(x_bytes);
  const F32 f = set1(factor);
  for_vectors(n, [&](int64_t i, auto part) { store_at(x + i, f * load_at(x + i, part), part); });
}

}  // namespace

constinit const ElementwiseKernels kElementwiseKernels = {
    .add = {add<float>, add<bf16>},
    .axpby = {{axpby<float, float>, axpby<float, bf16>}, {axpby<bf16, float>, axpby<bf16, bf16>}},
    .sign = {sign<float>, sign<bf16>},
    .relu_squared = {relu_squared<float>, relu_squared<bf16>},
    .relu_squared_backward = {relu_squared_backward<float>, relu_squared_backward<bf16>},
    .softcap = {{softcap<float, float>, softcap<float, bf16>},
                {softcap<bf16, float>, softcap<bf16, bf16>}},
    .cast = {{nullptr, narrow}, {widen, nullptr}},
    .scale = {scale<float>, scale<bf16>},
};

}  // namespace nanochat::cpu::NC_ISA
