/// Tensors from the host to a backend's device and back.
#pragma once

#include "ops/backend.h"

namespace nanochat {

/// `x` itself when it is on the backend's device, else a copy there, from `allocator`. x may be
/// changed when this returns.
[[nodiscard]] Tensor on_device(Backend& backend, const Tensor& x, Allocator& allocator);
[[nodiscard]] inline Tensor on_device(Backend& backend, const Tensor& x) {
  return on_device(backend, x, backend.allocator());
}

/// `x` itself when it is on the host, else a copy. Waits for the backend then.
[[nodiscard]] Tensor on_host(Backend& backend, const Tensor& x);

}  // namespace nanochat
