/// Conversations about who the assistant is.
#pragma once

#include <string>
#include <string_view>

#include "tasks/task_request.h"

namespace nanochat {

/// identity_conversations.jsonl of one of the --task-data folders, of the base folder, or as
/// `nanochat data download identity` puts it; else our own, which are part of the program.
[[nodiscard]] TaskPtr make_identity(const TaskRequest& request);

/// Our own, for people to edit: a list of messages a line. Where they say the name of this program,
/// they say `name`. Throws UsageError for a name that cannot stand in a text (empty, a quote, a
/// backslash, a control character).
[[nodiscard]] std::string identity_file(std::string_view name = "nanochat++");

}  // namespace nanochat
