/// SmolTalk for small models (HuggingFaceTB/smol-smoltalk): conversations to learn from.
#pragma once

#include "tasks/task_request.h"

namespace nanochat {

/// Rows: messages, a list of {role, content}.
[[nodiscard]] TaskPtr make_smoltalk(const TaskRequest& request);

}  // namespace nanochat
