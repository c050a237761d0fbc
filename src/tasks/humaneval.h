/// HumanEval (Chen et al. 2021, arXiv:2107.03374): Python functions to write, judged by running
/// them against tests.
#pragma once

#include <string>
#include <string_view>

#include "tasks/task_request.h"

namespace nanochat {

/// Rows: prompt, canonical_solution, entry_point, test. Answers run in the sandbox
/// (engine/tools/sandbox.h); evaluate() throws DeviceError where there is none. 5 s and 256 MiB
/// each, as upstream.
[[nodiscard]] TaskPtr make_humaneval(const TaskRequest& request);

/// The lines of import that a prompt begins with, trimmed; blank lines and comments between them
/// are passed over.
[[nodiscard]] std::string leading_imports(std::string_view prompt);

/// The inside of the first block between fences (``` or ```python), else all of it; trimmed. A
/// fence that is not closed is no fence.
[[nodiscard]] std::string fenced_program(std::string_view completion);

}  // namespace nanochat
