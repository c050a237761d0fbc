/// What a model's python blocks are run by: --tools.
#pragma once

#include <string_view>

#include "engine/tool_state.h"

namespace nanochat::cli {

/// "none" (an empty one), "calculator" (engine/tools/calculator.h) or "python" (the sandbox of
/// engine/tools/sandbox.h: what the block prints, the value of an expression at its end, the
/// error). is_slow: EngineOptions::tool_is_slow. Throws DeviceError where there can be no sandbox.
[[nodiscard]] Tool tool_named(std::string_view name, bool& is_slow);

}  // namespace nanochat::cli
