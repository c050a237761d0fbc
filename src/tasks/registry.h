/// All tasks by name.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tasks/task.h"
#include "tasks/task_request.h"

namespace nanochat {

struct TaskInfo {
  std::string_view name;  ///< upstream's spelling
  std::string_view what;
  std::vector<std::string_view> splits;  ///< the first is taken where none is named
  std::string_view dataset;              ///< in the catalogue; empty: needs none
  TaskMaker* make;
};
[[nodiscard]] std::span<const TaskInfo> task_registry();
/// Capitals, - and _ do not matter. Throws NotFoundError, which lists what there is.
[[nodiscard]] const TaskInfo& find_task_info(std::string_view name);

/// What a person writes for a task: NAME[:SPLIT][:COUNT][*TIMES]. "gsm8k:train",
/// "smoltalk:train:10000", "spelling-bee:300", "identity*2", "my/own.jsonl:500".
struct TaskSpec {
  std::string name;   ///< one of the registry (capitals, - and _ do not matter), or the path of a
                      ///< file of own conversations (custom_json.h)
  std::string split;  ///< empty: the first of the task's
  std::optional<int64_t> count;  ///< the first so many examples; of drawn ones, so many
  int64_t times = 1;             ///< in a mixture
};
/// Throws UsageError for a count or a number of times that is none.
[[nodiscard]] TaskSpec parse_task_spec(std::string_view text);

/// Without regard to times. Throws NotFoundError for a name that is not known (it lists those that
/// are), data that is not there or a file that does not exist; UsageError for a split that the task
/// has not; DataError.
[[nodiscard]] TaskPtr make_task(const TaskSpec& spec, const TaskData& data);
/// Several times one after another, where the text says so.
[[nodiscard]] TaskPtr make_task(std::string_view spec, const TaskData& data);

/// Each as many times as it says. Throws as make_task; UsageError when there are none.
[[nodiscard]] std::shared_ptr<const TaskMixture> make_mixture(std::span<const std::string> specs,
                                                              const TaskData& data);

}  // namespace nanochat
