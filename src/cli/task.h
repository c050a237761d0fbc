/// nanochat task list and show, nanochat data identity, as the command line gave them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cli/commands.h"
#include "tasks/task_data.h"

namespace nanochat::cli {

/// Where this command line has the data of tasks looked for; `folders` is --task-data.
[[nodiscard]] TaskData task_data(const CommonOptions& common,
                                 const std::vector<std::string>& folders);

struct TaskListOptions {};
void run_task_list(const CommonOptions& common, const TaskListOptions& options);

struct TaskShowOptions {
  std::string spec;
  std::vector<std::string> task_data;
  int64_t n = 3;
  int64_t start = 0;
};
/// Prints examples: as they are read, or as JSON.
void run_task_show(const CommonOptions& common, const TaskShowOptions& options);

struct DataIdentityOptions {
  std::string name = "nanochat++";
  std::string out;  ///< empty: <base>/identity_conversations.jsonl
  bool overwrite = false;
};
/// Writes the program's identity conversations for people to edit.
void run_data_identity(const CommonOptions& common, const DataIdentityOptions& options);

}  // namespace nanochat::cli
