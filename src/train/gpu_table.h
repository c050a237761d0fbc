/// What GPUs can do at most, by name: for plans, and for the share of it that a run reaches (MFU).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace nanochat {

/// Per device; memory as the card reports it, not as it is sold.
struct GpuSpec {
  std::string name;             ///< as in the table, "h100 pcie"
  double peak_flops = 0;        ///< bf16 or f16 products, dense, FLOP/s
  double memory_bandwidth = 0;  ///< bytes/s
  int64_t memory_bytes = 0;
};

/// The first row of upstream's table all of whose words occur in the name, whatever its case:
/// "NVIDIA H100 80GB HBM3" is "h100". Nothing for a name that no row fits. (Upstream's table has
/// peaks and bandwidths; memory is the vendors'.)
[[nodiscard]] std::optional<GpuSpec> find_gpu(std::string_view name);

/// "gb200, b200, ...": for messages.
[[nodiscard]] std::string known_gpus();

}  // namespace nanochat
