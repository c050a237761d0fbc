/// The example of docs/extending.md, which quotes what stands between the marks.
#pragma once

// [weekdays]
#include <array>
#include <string>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "tasks/task_request.h"

namespace nanochat {

/// "Which day comes 3 days after Tuesday?", answered "Friday." Every fifth question is held out.
class WeekdaysTask final : public Task {
 public:
  explicit WeekdaysTask(bool is_test) : is_test_(is_test) {}

  std::string name() const override { return "Weekdays"; }
  int64_t size() const override { return is_test_ ? kQuestions / 5 : kQuestions - kQuestions / 5; }
  TaskExample example(int64_t i) const override {
    check_example_index(*this, i);
    const auto [first, days] = question(i);
    std::string asked = fmt::format("Which day comes {} days after {}?", days, kDays[first]);
    return {.conversation = {{{Role::kUser, std::move(asked)},
                              {Role::kAssistant, fmt::format("{}.", kDays[(first + days) % 7])}}}};
  }
  EvalType eval_type() const override { return EvalType::kGenerative; }
  /// The right day must be named, and no other.
  bool evaluate(int64_t i, std::string_view response) const override {
    const auto [first, days] = question(i);
    for (size_t day = 0; day < kDays.size(); ++day) {
      const bool is_named = response.find(kDays[day]) != std::string_view::npos;
      if (is_named != (day == (first + days) % 7)) return false;
    }
    return true;
  }

 private:
  static constexpr std::array<std::string_view, 7> kDays{
      "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"};
  static constexpr int64_t kQuestions = 70;  // seven days, 2 to 11 days later

  std::pair<size_t, size_t> question(int64_t i) const {
    const auto n = static_cast<size_t>(is_test_ ? 5 * i : 5 * (i / 4) + i % 4 + 1);
    return {n % 7, n / 7 + 2};
  }

  bool is_test_;
};

inline TaskPtr make_weekdays(const TaskRequest& request) {
  return std::make_shared<WeekdaysTask>(request.split == "test");
}

}  // namespace nanochat
// [/weekdays]
