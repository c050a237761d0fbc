/// Tasks whose examples are the rows of a data set.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "tasks/row_table.h"
#include "tasks/task.h"
#include "tasks/task_data.h"

namespace nanochat {

/// A row's JSON and where it stands, to blame it.
struct TaskRow {
  nlohmann::json json;
  std::string place;

  /// Throws DataError, naming the place.
  [[nodiscard]] const nlohmann::json& member(const char* name) const;
  [[nodiscard]] const std::string& text(const char* name) const;
  [[nodiscard]] std::vector<std::string> texts(const char* name) const;
};

/// Example i is row permutation[i] of the files, where the permutation is numpy's of seed 42: the
/// first n examples are upstream's first n.
class RowTask : public Task {
 public:
  RowTask(std::string name, std::shared_ptr<const RowTable> rows);

  [[nodiscard]] std::string name() const override { return name_; }
  [[nodiscard]] int64_t size() const override { return rows_->size(); }

 protected:
  /// Throws DataError for a row that is no JSON object.
  [[nodiscard]] TaskRow row(int64_t i) const;

 private:
  std::string name_;
  std::shared_ptr<const RowTable> rows_;
  std::vector<uint32_t> order_;
};

/// As find_split_files and RowTable; `name` begins the message when there is no such data.
[[nodiscard]] std::shared_ptr<const RowTable> open_split(std::string_view name,
                                                         const TaskData& data,
                                                         const TaskSplit& split);

/// What most tasks are: a user's question and the assistant's answer.
[[nodiscard]] Conversation question_and_answer(std::string question, std::string answer);
[[nodiscard]] Conversation question_and_answer(std::string question,
                                               std::vector<MessagePart> answer);

}  // namespace nanochat
