/// What this build and this machine have.
#pragma once

#include <nlohmann/json.hpp>

namespace nanochat::cli {

/// One flat object, in the order that people read it in. Throws DeviceError when $NANOCHAT_CPU_ISA
/// names an instruction set that is not there.
[[nodiscard]] nlohmann::ordered_json system_info();

}  // namespace nanochat::cli
