#include "tasks/gsm8k.h"

#include <string>
#include <utility>

#include "core/error.h"
#include "tasks/final_answer.h"
#include "tasks/row_task.h"

namespace nanochat {
namespace {

class Gsm8kTask final : public RowTask {
 public:
  using RowTask::RowTask;

  TaskExample example(int64_t i) const override {
    const TaskRow r = row(i);
    std::vector<MessagePart> parts = gsm8k_parts(r.text("answer"));
    if (!final_answer(parts.back().text)) {
      throw DataError("{}: the answer does not end in a number behind \"#### \"", r.place);
    }
    return {.conversation = question_and_answer(r.text("question"), std::move(parts))};
  }
  EvalType eval_type() const override { return EvalType::kGenerative; }
  bool evaluate(int64_t i, std::string_view response) const override {
    return has_same_final_answer(example(i).conversation, response);
  }
};

}  // namespace

std::vector<MessagePart> gsm8k_parts(std::string_view answer) {
  constexpr auto kNone = std::string_view::npos;
  std::vector<MessagePart> parts;
  size_t text_begin = 0;
  // Of "<<<1+1=2>>" the calculation begins with the first two; an empty one, "<<>>", is text.
  for (size_t open = answer.find("<<"); open != kNone;) {
    const size_t close = answer.find('>', open + 2);
    if (close == kNone) break;
    if (close == open + 2 || !answer.substr(close).starts_with(">>")) {
      open = answer.find("<<", open + 1);
      continue;
    }
    const std::string_view inside = answer.substr(open + 2, close - open - 2);
    const size_t equals = inside.rfind('=');
    const std::string_view result = equals == kNone ? "" : inside.substr(equals + 1);
    parts.push_back({PartType::kText, std::string(answer.substr(text_begin, open - text_begin))});
    parts.push_back({PartType::kPython, std::string(inside.substr(0, equals))});
    parts.push_back({PartType::kPythonOutput, std::string(result)});
    text_begin = close + 2;
    open = answer.find("<<", text_begin);
  }
  parts.push_back({PartType::kText, std::string(answer.substr(text_begin))});
  return parts;
}

TaskPtr make_gsm8k(const TaskRequest& request) {
  const TaskSplit split{"gsm8k", "openai/gsm8k", {"main/" + request.split, request.split}};
  return std::make_shared<Gsm8kTask>(request.name, open_split(request.name, request.data, split));
}

}  // namespace nanochat
