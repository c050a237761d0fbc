/// What the registry asks a task's maker for.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "tasks/task.h"
#include "tasks/task_data.h"

namespace nanochat {

/// A maker gives the split of its task. Examples that are drawn rather than read come in any
/// number: those makers go by `count`; the registry cuts what the others give.
struct TaskRequest {
  std::string name;   ///< as the registry spells it
  std::string split;  ///< one of those that the registry lists for the task
  std::optional<int64_t> count;
  const TaskData& data;
};

using TaskMaker = TaskPtr(const TaskRequest&);

}  // namespace nanochat
