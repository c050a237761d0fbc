/// Moving, converting, and what happens to one element at a time.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "ops/reference/numbers.h"
#include "ops/reference/reference_backend.h"

namespace nanochat::reference {

void ReferenceBackend::zero(Tensor& y) {
  if (y.numel() > 0) std::memset(y.raw(), 0, static_cast<size_t>(y.size_bytes()));
}

void ReferenceBackend::copy(const Tensor& x, Tensor& y) {
  if (y.numel() > 0) std::memcpy(y.raw(), x.raw(), static_cast<size_t>(y.size_bytes()));
}

void ReferenceBackend::cast(const Tensor& x, Tensor& y) {
  dispatch_floats(x.dtype(), y.dtype(), [&](auto from, auto to) {
    using From = typename decltype(from)::type;
    using To = typename decltype(to)::type;
    std::transform(x.data<From>(), x.data<From>() + x.numel(), y.data<To>(),
                   [](From value) { return round_to<To>(widen(value)); });
  });
}

// y = a + b, so da = dy and db = dy: a sum passes its gradient on to both sides unchanged. Where
// two gradients meet (a tensor that was used twice), backward is this same add.
void ReferenceBackend::add(const Tensor& a, const Tensor& b, Tensor& y) {
  dispatch_float(y.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    const T* a_data = a.data<T>();
    const T* b_data = b.data<T>();
    T* out = y.data<T>();
    for (int64_t i = 0; i < y.numel(); ++i) {
      out[i] = round_to<T>(widen(a_data[i]) + widen(b_data[i]));
    }
  });
}

void ReferenceBackend::axpby(float a, const Tensor& x, float b, Tensor& y) {
  dispatch_floats(x.dtype(), y.dtype(), [&](auto x_tag, auto y_tag) {
    using X = typename decltype(x_tag)::type;
    using Y = typename decltype(y_tag)::type;
    const X* in = x.data<X>();
    Y* out = y.data<Y>();
    for (int64_t i = 0; i < y.numel(); ++i) {
      const double kept = b == 0 ? 0 : double{b} * widen(out[i]);  // 0 * NaN would be NaN
      out[i] = round_to<Y>(double{a} * widen(in[i]) + kept);
    }
  });
}

void ReferenceBackend::sign(const Tensor& x, Tensor& y) {
  dispatch_float(x.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    std::transform(x.data<T>(), x.data<T>() + x.numel(), y.data<T>(), [](T element) {
      const double value = widen(element);
      return round_to<T>(value > 0 ? 1 : value < 0 ? -1 : 0);
    });
  });
}

void ReferenceBackend::relu_squared(const Tensor& x, Tensor& y) {
  dispatch_float(x.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    std::transform(x.data<T>(), x.data<T>() + x.numel(), y.data<T>(), [](T element) {
      const double positive = std::max(widen(element), 0.0);  // in this order it keeps a NaN
      return round_to<T>(positive * positive);
    });
  });
}

// y = r^2 with r = max(x, 0):  dy/dx = 2 r for x > 0 and 0 for x < 0; at 0 both sides give 0, which
// is what makes relu^2 smoother than relu. And r = sqrt(y), so y is all that forward must keep.
void ReferenceBackend::relu_squared_backward(const Tensor& dy, const Tensor& y, Tensor& dx) {
  dispatch_float(dy.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    const T* gradient = dy.data<T>();
    const T* squares = y.data<T>();
    T* out = dx.data<T>();
    for (int64_t i = 0; i < dx.numel(); ++i) {
      out[i] = round_to<T>(widen(gradient[i]) * 2 * std::sqrt(widen(squares[i])));
    }
  });
}

}  // namespace nanochat::reference
