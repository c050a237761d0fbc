#include "tasks/humaneval.h"

#include <algorithm>
#include <mutex>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "engine/tools/sandbox.h"
#include "tasks/row_task.h"

namespace nanochat {
namespace {

constexpr auto kNone = std::string_view::npos;
constexpr std::string_view kSpace = " \t\n\r\f\v";

std::string_view trimmed(std::string_view text) {
  const size_t begin = text.find_first_not_of(kSpace);
  if (begin == kNone) return {};
  return text.substr(begin, text.find_last_not_of(kSpace) + 1 - begin);
}

class HumanEvalTask final : public RowTask {
 public:
  using RowTask::RowTask;

  TaskExample example(int64_t i) const override {
    const TaskRow r = row(i);
    const std::string& prompt = r.text("prompt");
    return {.conversation =
                question_and_answer(prompt, prompt + "\n" + r.text("canonical_solution"))};
  }
  EvalType eval_type() const override { return EvalType::kGenerative; }
  bool evaluate(int64_t i, std::string_view response) const override {
    const TaskRow r = row(i);
    const std::string program =
        fmt::format("{}\n\n{}\n\n{}\ncheck({})", leading_imports(r.text("prompt")),
                    fenced_program(response), r.text("test"), r.text("entry_point"));
    return sandbox().run(program).success;
  }

 private:
  /// Made when the first answer is judged: training needs none.
  const PythonSandbox& sandbox() const {
    const std::lock_guard lock(mutex_);
    if (!sandbox_) sandbox_.emplace();
    return *sandbox_;
  }

  mutable std::mutex mutex_;
  mutable std::optional<PythonSandbox> sandbox_;
};

}  // namespace

std::string leading_imports(std::string_view prompt) {
  std::string imports;
  while (!prompt.empty()) {
    const size_t end = std::min(prompt.find('\n'), prompt.size());
    const std::string_view line = trimmed(prompt.substr(0, end));
    prompt.remove_prefix(std::min(end + 1, prompt.size()));
    if (line.starts_with("import ") || line.starts_with("from ")) {
      if (!imports.empty()) imports += '\n';
      imports += line;
    } else if (!line.empty() && !line.starts_with('#')) {
      break;
    }
  }
  return imports;
}

std::string fenced_program(std::string_view completion) {
  constexpr std::string_view kFence = "```", kTag = "python";
  for (size_t open = completion.find(kFence); open != kNone;
       open = completion.find(kFence, open + 1)) {
    size_t behind = open + kFence.size();
    if (completion.substr(behind).starts_with(kTag)) behind += kTag.size();
    const size_t inked = std::min(completion.find_first_not_of(kSpace, behind), completion.size());
    // The body begins behind a line break among the white space: the last that lets it end.
    for (size_t line = completion.rfind('\n', inked - 1); line != kNone && line >= behind;
         line = line == 0 ? kNone : completion.rfind('\n', line - 1)) {
      const size_t close = completion.find("\n```", line + 1);
      if (close == kNone) continue;
      return std::string(trimmed(completion.substr(line + 1, close - line - 1)));
    }
  }
  return std::string(trimmed(completion));
}

TaskPtr make_humaneval(const TaskRequest& request) {
  const TaskSplit split{
      "humaneval", "openai/openai_humaneval", {"openai_humaneval/test", "test", "HumanEval"}};
  return std::make_shared<HumanEvalTask>(request.name,
                                         open_split(request.name, request.data, split));
}

}  // namespace nanochat
