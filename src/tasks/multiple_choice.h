/// Questions with lettered answers.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "tasks/row_task.h"

namespace nanochat {

/// The question as the user asks it. The letter stands behind its choice, which small models bind
/// better, without a space, so that it is the token that the assistant answers with. As many
/// letters as choices.
[[nodiscard]] std::string render_multiple_choice(std::string_view question,
                                                 std::span<const std::string> letters,
                                                 std::span<const std::string> choices);

/// What ARC and MMLU share: the answer is the letter alone.
class MultipleChoiceTask : public RowTask {
 public:
  using RowTask::RowTask;

  [[nodiscard]] EvalType eval_type() const override { return EvalType::kCategorical; }
  [[nodiscard]] bool evaluate(int64_t i, std::string_view response) const override;
  [[nodiscard]] double random_baseline() const override { return 0.25; }  // nearly all have four
};

}  // namespace nanochat
