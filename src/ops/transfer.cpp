#include "ops/transfer.h"

namespace nanochat {

Tensor on_device(Backend& backend, const Tensor& x, Allocator& allocator) {
  if (!x || x.device() == backend.device()) return x;
  Tensor copy(x.shape(), x.dtype(), allocator);
  backend.copy(x, copy);
  return copy;
}

Tensor on_host(Backend& backend, const Tensor& x) {
  if (!x || x.device().kind == DeviceKind::kCpu) return x;
  Tensor copy(x.shape(), x.dtype());
  backend.copy(x, copy);
  backend.synchronize();
  return copy;
}

}  // namespace nanochat
