/// Any bytes at all are a safetensors file that either opens, and then every view it gives may be
/// read to its last byte, or is refused with a DataError.
#include <cstddef>
#include <cstdint>

#include "core/error.h"
#include "core/parallel.h"
#include "model/safetensors.h"

namespace {

void open_and_touch(const uint8_t* data, size_t size, nanochat::SafetensorsChecks checks) {
  // The reader promises never to write; the const_cast keeps the input where the sanitizer put its
  // fences.
  const nanochat::StoragePtr bytes =
      nanochat::wrap_memory(const_cast<uint8_t*>(data), static_cast<int64_t>(size));
  const nanochat::SafetensorsFile file(bytes, "input", checks);
  int64_t covered = 0;
  for (const nanochat::SafetensorsEntry& entry : file.entries()) {
    const nanochat::Tensor tensor = file.tensor(entry.name);
    NC_CHECK(tensor.size_bytes() == entry.size_bytes && tensor.shape() == entry.shape);
    NC_CHECK(reinterpret_cast<uintptr_t>(tensor.raw()) % nanochat::size_of(entry.dtype) == 0);
    covered += tensor.size_bytes();
    if (tensor.numel() == 0) continue;
    const auto* const first = static_cast<const volatile uint8_t*>(tensor.raw());
    static_cast<void>(first[0]);
    static_cast<void>(first[tensor.size_bytes() - 1]);
  }
  NC_CHECK(covered <= static_cast<int64_t>(size) - 8);
}

}  // namespace

extern "C" int LLVMFuzzerInitialize(int* /*argc*/, char*** /*argv*/) {
  nanochat::set_num_threads(1);  // handing a few bytes to other threads takes longer than the rest
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  for (const bool checked : {false, true}) {
    try {
      open_and_touch(data, size, {.checksums = checked, .finite = checked});
    } catch (const nanochat::DataError&) {
    } catch (const nanochat::NumericError&) {
      NC_CHECK(checked);
    }
  }
  return 0;
}
