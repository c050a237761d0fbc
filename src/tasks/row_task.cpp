#include "tasks/row_task.h"

#include <utility>

#include "core/error.h"
#include "tasks/python_random.h"

namespace nanochat {

using Json = nlohmann::json;

const Json& TaskRow::member(const char* name) const {
  const auto found = json.find(name);
  if (found == json.end()) throw DataError("{}: no '{}'", place, name);
  return *found;
}

const std::string& TaskRow::text(const char* name) const {
  const Json& value = member(name);
  if (!value.is_string()) {
    throw DataError("{}: '{}' is {}, not a string", place, name, value.type_name());
  }
  return value.get_ref<const std::string&>();
}

std::vector<std::string> TaskRow::texts(const char* name) const {
  const Json& value = member(name);
  std::vector<std::string> texts;
  if (value.is_array()) {
    for (const Json& item : value) {
      if (item.is_string()) texts.push_back(item);
    }
  }
  if (!value.is_array() || texts.size() != value.size()) {
    throw DataError("{}: '{}' is not a list of strings", place, name);
  }
  return texts;
}

RowTask::RowTask(std::string name, std::shared_ptr<const RowTable> rows)
    : name_(std::move(name)), rows_(std::move(rows)), order_(numpy_permutation_42(rows_->size())) {}

TaskRow RowTask::row(int64_t i) const {
  check_example_index(*this, i);
  const int64_t at = order_[static_cast<size_t>(i)];
  TaskRow row{Json::parse(rows_->row(at), nullptr, false), rows_->place(at)};
  if (!row.json.is_object()) {
    throw DataError("{}: {}", row.place,
                    row.json.is_discarded() ? "not valid JSON" : "not a JSON object");
  }
  return row;
}

std::shared_ptr<const RowTable> open_split(std::string_view name, const TaskData& data,
                                           const TaskSplit& split) {
  try {
    return std::make_shared<const RowTable>(find_split_files(data, split));
  } catch (const NotFoundError& e) {
    throw NotFoundError("{}: {}", name, e.what());
  }
}

Conversation question_and_answer(std::string question, std::string answer) {
  return {{{Role::kUser, std::move(question)}, {Role::kAssistant, std::move(answer)}}};
}

Conversation question_and_answer(std::string question, std::vector<MessagePart> answer) {
  return {{{Role::kUser, std::move(question)}, {Role::kAssistant, std::move(answer)}}};
}

}  // namespace nanochat
