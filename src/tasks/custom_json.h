/// Conversations of one's own, one a line (upstream's CustomJSON).
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

#include "tasks/row_table.h"
#include "tasks/task.h"

namespace nanochat {

/// A conversation to learn from: a list of messages, {"messages": that list} or {"prompt": text,
/// "completion": text}. After a system message, if there is one, user and assistant take turns, a
/// question and an answer at least. A question behind the last answer is left out: it teaches
/// nothing. Throws DataError, which starts with `where`.
[[nodiscard]] Conversation parse_training_conversation(const nlohmann::json& json,
                                                       std::string_view where);

/// The conversations of a file (RowTable: .jsonl, also compressed, or .parquet), in its order. All
/// of them are checked at once, so that training does not stumble over one later: throws DataError
/// naming file and line; NotFoundError, when there is no such file.
[[nodiscard]] TaskPtr make_custom_json(const std::filesystem::path& path);

/// The same of a table that is there already.
[[nodiscard]] TaskPtr make_custom_json(std::string name, RowTable rows);

}  // namespace nanochat
