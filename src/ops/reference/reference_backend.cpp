#include "ops/reference/reference_backend.h"

namespace nanochat {

Backend& reference_backend() {
  static reference::ReferenceBackend backend;
  return backend;
}

}  // namespace nanochat
