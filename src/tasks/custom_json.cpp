#include "tasks/custom_json.h"

#include <system_error>
#include <utility>

#include <nlohmann/json.hpp>

#include "core/error.h"

namespace nanochat {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

Conversation parse_row(std::string_view row, const std::string& place) {
  const Json json = Json::parse(row, nullptr, false);
  if (json.is_discarded()) throw DataError("{}: not valid JSON", place);
  return parse_training_conversation(json, place);
}

class CustomJsonTask final : public Task {
 public:
  CustomJsonTask(std::string name, RowTable rows) : name_(std::move(name)), rows_(std::move(rows)) {
    for (int64_t i = 0; i < size(); ++i) static_cast<void>(example(i));
  }

  std::string name() const override { return name_; }
  int64_t size() const override { return rows_.size(); }
  TaskExample example(int64_t i) const override {
    check_example_index(*this, i);
    return {.conversation = parse_row(rows_.row(i), rows_.place(i))};
  }

 private:
  std::string name_;
  RowTable rows_;
};

}  // namespace

Conversation parse_training_conversation(const Json& json, std::string_view where) {
  Conversation conversation;
  if (json.is_object() && json.contains("prompt") && json.contains("completion")) {
    if (!json["prompt"].is_string() || !json["completion"].is_string()) {
      throw DataError("{}: 'prompt' and 'completion' should be strings", where);
    }
    conversation.messages = {{Role::kUser, json["prompt"].get<std::string>()},
                             {Role::kAssistant, json["completion"].get<std::string>()}};
  } else {
    conversation = conversation_of(json, where);
  }
  auto& messages = conversation.messages;
  if (const std::string why = conversation_problem(messages); !why.empty()) {
    throw DataError("{}: {}", where, why);
  }
  if (messages.back().role == Role::kUser) messages.pop_back();
  if (messages.empty() || messages.back().role != Role::kAssistant) {
    throw DataError("{}: nothing to learn from: it has no answer of the assistant", where);
  }
  return conversation;
}

TaskPtr make_custom_json(const fs::path& path) {
  std::error_code error;
  if (!fs::exists(path, error)) {
    throw NotFoundError(
        "{}: there is no such file of conversations: check the name (nanochat data identity writes "
        "one to edit)",
        path.string());
  }
  return make_custom_json(path.filename().string(), RowTable({path}));
}

TaskPtr make_custom_json(std::string name, RowTable rows) {
  return std::make_shared<CustomJsonTask>(std::move(name), std::move(rows));
}

}  // namespace nanochat
